// engine/kernels/cuda/attention/attention_state.h — The law by which parts of a softmax are merged.
// A part that has seen some keys holds top = max of their logits, total = sum of 2^(logit - top),
// and values = sum of 2^(logit - top) v. Logits are in base 2 (multiplied by log2 e). Parts of the
// same query are merged by
//   top = max top_i, total = sum total_i 2^(top_i - top), values = sum values_i 2^(top_i - top),
// the result is values / total, and (-infinity, 0, 0) is the part that has seen nothing. The law is
// associative but for rounding: who wants the same bits merges the same parts in the same order, so
// parts begin at absolute positions (split_begin), never at what a batch happens to hold.
// NaN: a NaN logit does not raise top but makes total and values NaN, and no weight hides that.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/attention/attention_parts.h"
#include "engine/kernels/cuda/prim/math.h"
#include "engine/kernels/cuda/prim/warp.h"

namespace swarm::engine::kernels::cuda {

inline constexpr float kNoLogit = -__builtin_inff();

// What to subtract from logits: top, or 0 where nothing was seen (-infinity - -infinity is NaN).
__device__ inline float state_base(float top) { return top == kNoLogit ? 0.0f : top; }
__device__ inline float state_weight(float logit, float base) { return prim::exp2(logit - base); }

}  // namespace swarm::engine::kernels::cuda
