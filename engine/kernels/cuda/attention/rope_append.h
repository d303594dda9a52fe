// engine/kernels/cuda/attention/rope_append.h — What happens between the Q, K, V projections and
// attention: RMS norm of each q and k head, RoPE, K and V into their pages.
// Source of the formulas: reference/engine.md sections 1.2 and 4.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/batch.h"
#include "engine/kernels/cuda/simt/stream.h"

namespace swarm::engine::kernels::cuda {

inline constexpr int32_t kHeadDimMax = 256;

struct RopeAppendArgs {
  float* q = nullptr;                  // [rows, heads, head_dim], normed and rotated in place
  const float* k = nullptr;            // [rows, kv_heads, head_dim]; only the pages get the result
  const float* v = nullptr;            // [rows, kv_heads, head_dim]
  const float* q_norm = nullptr;       // [head_dim]
  const float* k_norm = nullptr;       // [head_dim]
  const float* cos = nullptr;          // [rows, head_dim / 2]; a YaRN factor is part of them
  const float* sin = nullptr;
  float eps = 0;
  int32_t heads = 0;
  BatchView batch;                     // rows with row_span < 0 are padding: nothing is appended
  KvView kv;                           // head_dim even, <= kHeadDimMax; % 32 == 0 when quantised
};

// head' = rope(head * norm / sqrt(mean(head^2) + eps)), pairs (j, j + head_dim / 2): (a cos - b
// sin, a sin + b cos). Stored as kernels/kv_rows.h does. The bits depend on the row alone. Fails
// with cudaErrorInvalidValue, before the launch, for an odd or too large head size.
simt::Status qk_norm_rope_append(simt::Stream stream, const RopeAppendArgs& args);

}  // namespace swarm::engine::kernels::cuda
