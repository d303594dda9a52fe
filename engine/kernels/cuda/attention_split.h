// engine/kernels/cuda/attention_split.h — The attention kernel for few rows per sequence, behind
// attention.h: one block per row, group of heads and part of the sequence, then a merge.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/attention.h"
#include "engine/kernels/cuda/prim/types.h"

namespace swarm::engine::kernels::cuda {

// Where a sequence is cut for several blocks: short parts where there are few, longer ones later,
// so that little memory is needed for long contexts.
inline constexpr int32_t kShortSplit = 128;
inline constexpr int32_t kShortSplits = 32;
inline constexpr int32_t kLongSplit = 512;
inline constexpr int32_t kLongFrom = kShortSplit * kShortSplits;

PRIM_BOTH int32_t split_begin(int32_t split) {
  return split <= kShortSplits ? split * kShortSplit
                               : kLongFrom + (split - kShortSplits) * kLongSplit;
}
// Parts of a sequence of `context` tokens.
PRIM_BOTH int32_t split_count(int32_t context) {
  return context <= kLongFrom ? (context + kShortSplit - 1) / kShortSplit
                              : kShortSplits + (context - kLongFrom + kLongSplit - 1) / kLongSplit;
}

// A unit is a row, or place i < units_per_span of a span; spans of more than kSplitRows rows and
// places beyond the span's end are empty units.
struct AttentionSplitArgs {
  PagedAttentionArgs call;
  int32_t units = 0;
  int32_t units_per_span = 0;          // 0: unit u is row u
};

// The scratch of the call has room for one row.
simt::Status attention_split(simt::Stream stream, const AttentionSplitArgs& args);

}  // namespace swarm::engine::kernels::cuda
