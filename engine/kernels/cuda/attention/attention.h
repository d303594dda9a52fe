// engine/kernels/cuda/attention/attention.h — Causal softmax attention of every row of a batch over
// the pages of its sequence: out = sum_p softmax_p(q k_p scale) v_p, p = 0 .. position of the row;
// query head h uses KV head h / (heads / kv_heads).
//
// Two kernels. `split` (attention_split.h): any even head size up to 256, all types, all sums in
// f32; a sequence is cut at absolute positions and a merge follows; made for few rows per span.
// `tile` (attention_tile.h): many rows per span, tensor cores. Spans of up to kSplitRows rows take
// the first; so do all rows when `deterministic`, or when the tile kernel does not know the types
// or the head size.
//
// Determinism: within one kernel the bits of a row depend on its q, its K and V and its position
// alone - never on neighbours, chunks, page size or the number of rows. The two kernels differ in
// rounding, so without `deterministic` the cut of a prompt into chunks can show in the last bits.
// Source of the formulas: reference/engine.md section 1.2.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/attention/attention_parts.h"
#include "engine/kernels/cuda/batch.h"
#include "engine/kernels/cuda/simt/stream.h"

namespace swarm::engine::kernels::cuda {

inline constexpr int32_t kAttentionHeadDimMax = 256;
// Its parts are one dimension of a grid, at most 65535.
inline constexpr int32_t kAttentionContextMax = 1 << 24;
static_assert(split_begin(65535) >= kAttentionContextMax);

struct PagedAttentionArgs {
  const float* q = nullptr;            // [rows, heads, head_dim]
  float* out = nullptr;                // [rows, heads, head_dim]
  int32_t heads = 0;                   // a multiple of kv.kv_heads
  float scale = 0;                     // 1 / sqrt(head_dim)
  BatchView batch;                     // rows with row_span < 0 and spans of no rows are skipped
  KvView kv;                           // head_dim even; k, v and scratch 16-byte aligned
  int32_t max_context = 0;             // known to the host: no row has a position at or beyond it
  int32_t longest_span = 0;            // known to the host: no span has more rows
  bool deterministic = false;
  uint8_t* scratch = nullptr;
  int64_t scratch_bytes = 0;           // at least attention_scratch_bytes of limits that cover this
};

// Fails with cudaErrorInvalidValue, before any launch, when scratch_bytes cannot hold one row (one
// tile of 64 rows beyond 2048 keys) or the head size is odd or above kAttentionHeadDimMax.
simt::Status attention(simt::Stream stream, const PagedAttentionArgs& args);

}  // namespace swarm::engine::kernels::cuda
