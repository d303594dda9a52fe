// engine/kernels/cuda/attention/attention_split.h — The attention kernel for few rows per sequence,
// behind attention.h: one block per row, group of heads and part of the sequence, then a merge.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/attention/attention.h"

namespace swarm::engine::kernels::cuda {

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
