// engine/model/memory_plan.h — All memory of a model on a backend as one plan: weights, K and V,
// activations, scratch. Arithmetic from shapes: it needs neither a device nor the weights' bytes,
// and is the only formula there is - Transformer::open claims this plan, `swarm model fit` prints
// it. Pure functions, thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/base/error.h"
#include "engine/device/arena.h"
#include "engine/kernels/kernels.h"
#include "engine/model/model_config.h"
#include "engine/model/transformer.h"
#include "engine/model/weights.h"

namespace swarm::engine::model {

// Activations of the largest batch, in the memory of the backend.
struct Activations {
  float* x = nullptr;               // [rows, hidden] residual stream
  float* h = nullptr;               // [rows, hidden] normed input of a sub-block
  float* q = nullptr;               // [rows, heads * head_dim]
  float* mixed = nullptr;           // [rows, heads * head_dim]
  float* k = nullptr;               // [rows, kv_heads * head_dim]
  float* v = nullptr;
  float* delta = nullptr;           // [rows, hidden] attention output
  float* router = nullptr;          // [rows, experts]
  float* expert_weights = nullptr;  // [rows, experts_used]
  int32_t* expert_ids = nullptr;
  float* cos = nullptr;             // [rows, head_dim / 2]
  float* sin = nullptr;
  float* wanted_x = nullptr;        // [wanted, hidden]: x and mixed of the rows that become logits
  float* wanted_mixed = nullptr;    // [wanted, heads * head_dim]
  float* logits = nullptr;          // [wanted, vocab]

  // Lays them out from `base` (null: only counts); returns the bytes.
  size_t lay_out(const kernels::KernelLimits& limits, std::byte* base);
};

kernels::KernelLimits kernel_limits(const Weights& weights, const ModelConfig& config,
                                    const TransformerOptions& options);

// Groups "weights", "kv", "activations" and, where the backend claims it up front, "scratch".
// options.page_count may be 0 here. Refused: options out of range, a KV type that does not suit the
// head size, shapes beyond the backend's kernels, sizes beyond 64 bits.
Result<device::ArenaPlan> plan_memory(const Weights& weights, const ModelConfig& config,
                                      const TransformerOptions& options,
                                      const kernels::Footprint& footprint);

}  // namespace swarm::engine::model
