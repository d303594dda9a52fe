// engine/kernels/cuda/attention/attention_parts.h — Where the kernels of attention.h cut a
// sequence, and the memory that parts of rows take until they are merged. Arithmetic only, for host
// and device: what open() claims and what `swarm model fit` prints come from here.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/prim/types.h"

namespace swarm::engine::kernels::cuda {

// Spans of up to so many rows take the split kernel.
inline constexpr int32_t kSplitRows = 4;

// What a part of a softmax leaves beside its values (attention_state.h).
struct AttentionState {
  float top;
  float total;
};

// --- split kernel: short parts where there are few, longer ones later, so that little memory is
// needed for long contexts.
inline constexpr int32_t kShortSplit = 128;
inline constexpr int32_t kShortSplits = 32;
inline constexpr int32_t kLongSplit = 512;
inline constexpr int32_t kLongFrom = kShortSplit * kShortSplits;

PRIM_BOTH constexpr int32_t split_begin(int32_t split) {
  return split <= kShortSplits ? split * kShortSplit
                               : kLongFrom + (split - kShortSplits) * kLongSplit;
}
// Parts of a sequence of `context` tokens.
PRIM_BOTH int32_t split_count(int32_t context) {
  return context <= kLongFrom ? (context + kShortSplit - 1) / kShortSplit
                              : kShortSplits + (context - kLongFrom + kLongSplit - 1) / kLongSplit;
}

// --- tile kernel: multiples of 128.
inline constexpr int32_t kShortPart = 2048;
inline constexpr int32_t kShortParts = 8;
inline constexpr int32_t kLongPart = 8192;
inline constexpr int32_t kLongPartsFrom = kShortPart * kShortParts;
inline constexpr int32_t kTileQueries = 64;      // rows of a tile times heads of a KV head

PRIM_BOTH int32_t tile_part_begin(int32_t part) {
  return part <= kShortParts ? part * kShortPart
                             : kLongPartsFrom + (part - kShortParts) * kLongPart;
}
// Parts of a row that sees `context` keys.
PRIM_BOTH int32_t tile_parts(int32_t context) {
  return context <= kLongPartsFrom ? (context + kShortPart - 1) / kShortPart
                                   : kShortParts + (context - kLongPartsFrom + kLongPart - 1) /
                                                       kLongPart;
}

// --- scratch -------------------------------------------------------------------------------------

// Bytes of one part of one row.
constexpr int64_t part_bytes(int32_t heads, int32_t head_dim) {
  return int64_t{heads} * (head_dim * int64_t{sizeof(float)} + int64_t{sizeof(AttentionState)});
}

struct AttentionLimits {
  int32_t rows = 0;                    // of one batch
  int32_t heads = 0;
  int32_t head_dim = 0;
  int32_t context = 0;                 // tokens of one sequence
};

// Enough for every batch within the limits, and for good speed. Grows with heads * head_dim, and
// with the context slowly: 34 MB for 32 heads of 128.
inline int64_t attention_scratch_bytes(const AttentionLimits& limits) {
  // Parts at a time that keep any card busy: with 4 KV heads, 8192 blocks.
  constexpr int64_t kPartsWanted = 2048;
  const int64_t splits = split_count(limits.context), parts = tile_parts(limits.context);
  // All rows at once up to a limit; at least one row of the split kernel, one tile of the other.
  int64_t places = limits.rows * splits;
  if (places > kPartsWanted) places = kPartsWanted > splits ? kPartsWanted : splits;
  const bool tiles = parts > 1 && limits.rows > kSplitRows;
  if (tiles && places < parts * kTileQueries) places = parts * kTileQueries;
  return places * part_bytes(limits.heads, limits.head_dim);
}

}  // namespace swarm::engine::kernels::cuda
