// engine/kernels/cuda/attention/attention_merge.h — Parts of rows in scratch memory, and the kernel
// that merges them (attention_state.h). Shared by the attention kernels; included by .cu files
// only.
#pragma once

#include "engine/kernels/cuda/attention/attention.h"
#include "engine/kernels/cuda/attention/attention_state.h"
#include "engine/kernels/cuda/simt/simt.h"

namespace swarm::engine::kernels::cuda {

// Place of part s of unit u: u * parts + s. A unit is what a launch calls a row.
struct PartStore {
  float* values = nullptr;             // [place][heads][head_dim]
  AttentionState* states = nullptr;    // [place][heads]
  int32_t parts = 0;                   // of the longest row
};

// Units that the scratch of a call has room for.
inline int64_t units_at_once(const PagedAttentionArgs& call, int32_t parts) {
  return call.scratch_bytes / part_bytes(call.heads, call.kv.head_dim) / parts;
}

inline PartStore make_store(const PagedAttentionArgs& call, int32_t parts) {
  const int64_t places = units_at_once(call, parts) * parts;
  auto* values = reinterpret_cast<float*>(call.scratch);
  return {values,
          reinterpret_cast<AttentionState*>(values + places * call.heads * call.kv.head_dim),
          parts};
}

// Grid: (units, heads); one thread per element. Params has call, store, row(unit) - the row of the
// batch, or -1 - and parts_of(context), how many parts a row that sees `context` keys has.
template <class Params>
__global__ void attention_merge_kernel(Params p) {
  const PagedAttentionArgs& call = p.call;
  const auto unit = static_cast<int32_t>(blockIdx.x), head = static_cast<int32_t>(blockIdx.y);
  const int32_t row = p.row(unit);
  const int head_dim = call.kv.head_dim, j = static_cast<int>(threadIdx.x);
  if (row < 0 || j >= head_dim) return;          // no collectives here
  const int32_t parts = p.parts_of(call.batch.positions[row] + 1);
  const int64_t first = int64_t{unit} * p.store.parts * call.heads + head;
  float top = kNoLogit;
  for (int32_t s = 0; s < parts; ++s)
    top = prim::max(top, p.store.states[first + int64_t{s} * call.heads].top);
  const float base = state_base(top);
  float total = 0.0f, sum = 0.0f;
#pragma unroll 4
  for (int32_t s = 0; s < parts; ++s) {
    const int64_t at = first + int64_t{s} * call.heads;
    const AttentionState state = p.store.states[at];
    const float weight = state_weight(state.top, base);
    total = prim::fma(state.total, weight, total);
    sum = prim::fma(p.store.values[at * head_dim + j], weight, sum);
  }
  call.out[(int64_t{row} * call.heads + head) * head_dim + j] = prim::divide(sum, total);
}

template <class Params>
simt::Status launch_merge(simt::Stream stream, const Params& p, int64_t units) {
  const int head_dim = p.call.kv.head_dim;
  const simt::Config config{.grid = {.x = units, .y = p.call.heads},
                            .block = (head_dim + simt::kWarp - 1) / simt::kWarp * simt::kWarp,
                            .stream = stream};
  return simt::launch(config, attention_merge_kernel<Params>, p);
}

}  // namespace swarm::engine::kernels::cuda
