// engine/kernels/cuda/attention/attention_tile.h — The attention kernel for many rows per sequence,
// behind attention.h: tiles of 64 queries (rows times the heads of a KV head) on tensor cores.
//
// Precision: q (times scale and log2 e), K and V as f16 - exact for f16, for bf16 from 2^-14 on,
// rounded to 2^-11 for q8_0 and q4_0 - softmax weights as f16, all sums in f32. What does not fit
// f16 (beyond 65504) becomes infinity and then NaN, also in earlier rows of the same sequence (0
// times infinity): it is seen, it never becomes a wrong number. f32 is left to the split kernel,
// which computes in f32 and holds every range.
#pragma once

#include "engine/kernels/cuda/attention/attention.h"

namespace swarm::engine::kernels::cuda {

// Head size 64 or 128, K and V of any type but f32, at most 64 heads per KV head.
bool attention_tile_supports(const PagedAttentionArgs& args);

// Computes the rows of spans with more than kSplitRows rows, and only those.
simt::Status attention_tile(simt::Stream stream, const PagedAttentionArgs& args);

}  // namespace swarm::engine::kernels::cuda
