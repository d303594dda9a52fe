// engine/kernels/cuda/scratch.h — What the ops of cuda_kernels.h need beside weights, KV and
// activations, sized for the largest batch. Arithmetic only: the footprint adds it to a plan, the
// backend claims it.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "engine/kernels/cuda/attention/attention_parts.h"
#include "engine/kernels/cuda/batch_stage.h"
#include "engine/kernels/cuda/blas_products.h"
#include "engine/kernels/cuda/matmul/matmul.h"
#include "engine/kernels/cuda/sampling/sample_stage.h"
#include "engine/kernels/kernels.h"

namespace swarm::engine::kernels::cuda {

// Scratch of the ops, in the arena; sized for the largest batch.
struct Scratch {
  std::byte* batch = nullptr;
  std::byte* quantised = nullptr;      // activations of the product in hand, as codes
  std::byte* attention = nullptr;
  double* inv_freq = nullptr;          // [head_dim / 2]
  float* middle = nullptr;             // [pairs, ffn]
  float* up = nullptr;                 // [pairs, ffn], where gate and up cannot share a product
  float* down = nullptr;               // [pairs, hidden]
  int32_t* expert_count = nullptr;
  int32_t* expert_begin = nullptr;
  int32_t* pair_token = nullptr;
  int32_t* pair_of = nullptr;
  SampleMemory sample;
  BlasMemory blas;
};

// A region of the scratch: where its pointer lives, its name, its size.
template <class Visit>
void each_scratch_region(const KernelLimits& l, Scratch& s, Visit visit) {
  const int64_t pairs = int64_t{l.rows} * std::max(1, l.experts_used);
  const int32_t widest = std::max(l.hidden, l.heads * l.head_dim);
  const size_t quantised = std::max(quantised_bytes(l.rows, widest), quantised_bytes(pairs, l.ffn));
  const auto attention = static_cast<size_t>(attention_scratch_bytes(
      {.rows = l.rows, .heads = l.heads, .head_dim = l.head_dim, .context = l.context}));
  visit("scratch/batch", s.batch, BatchStage::bytes_for(l));
  visit("scratch/quantised", s.quantised, quantised);
  visit("scratch/attention", s.attention, attention);
  visit("scratch/inv_freq", s.inv_freq, static_cast<size_t>(l.head_dim / 2));
  visit("scratch/middle", s.middle, static_cast<size_t>(pairs * l.ffn));
  visit("scratch/up", s.up, static_cast<size_t>(pairs * l.ffn));
  visit("scratch/down", s.down, static_cast<size_t>(pairs * l.hidden));
  visit("scratch/expert_count", s.expert_count, static_cast<size_t>(l.experts));
  visit("scratch/expert_begin", s.expert_begin, static_cast<size_t>(l.experts) + 1);
  visit("scratch/pair_token", s.pair_token, static_cast<size_t>(pairs));
  visit("scratch/pair_of", s.pair_of, static_cast<size_t>(pairs));
  visit("scratch/sample_jobs", s.sample.jobs, SampleMemory::job_bytes(l));
  visit("scratch/sample_results", s.sample.results, static_cast<size_t>(l.wanted));
  visit("scratch/sample", s.sample.scratch, SampleMemory::scratch_bytes(l));
  if (!l.float_weights) return;
  visit("scratch/blas_high", s.blas.high, BlasMemory::half_count(l));
  visit("scratch/blas_low", s.blas.low, BlasMemory::half_count(l));
  visit("scratch/blas_scale", s.blas.scale, static_cast<size_t>(l.rows));
  visit("scratch/blas_workspace", s.blas.workspace, BlasMemory::workspace_bytes(l));
}

}  // namespace swarm::engine::kernels::cuda
