// engine/kernels/cuda/attention_tile.h — The attention kernel for many rows per sequence, behind
// attention.h: tiles of 64 queries (rows times the heads of a KV head) on tensor cores.
//
// Precision: q (times scale and log2 e), K and V as f16 - exact for K and V of type f16, rounded to
// 2^-11 for q8_0 and q4_0 - softmax weights as f16, all sums in f32. What does not fit f16 (65504)
// becomes infinity and then NaN. f32 and bf16 hold more range than that: they are left to the split
// kernel, which computes in f32.
#pragma once

#include "engine/kernels/cuda/attention.h"

namespace swarm::engine::kernels::cuda {

// Head size 64 or 128, K and V of f16, q8_0 or q4_0, at most 64 heads per KV head.
bool attention_tile_supports(const PagedAttentionArgs& args);

// Computes the rows of spans with more than kSplitRows rows, and only those.
simt::Status attention_tile(simt::Stream stream, const PagedAttentionArgs& args);

}  // namespace swarm::engine::kernels::cuda
