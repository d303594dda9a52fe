// engine/kernels/cuda/attention/attention_tile_memory.h — Keys and values of the tile kernel in
// shared memory: from pages by cp.async, then as f16 in rows that ldmatrix reads. Included by
// attention_tile.cu; every function is called by the whole block and holds no barrier.
#pragma once

#include "engine/kernels/cuda/attention/attention_tile.h"
#include "engine/kernels/cuda/attention/kv_block.h"
#include "engine/kernels/cuda/prim/async_copy.h"
#include "engine/kernels/cuda/simt/simt.h"

namespace swarm::engine::kernels::cuda {

inline constexpr int kTileWarps = 4;
inline constexpr int kTileThreads = kTileWarps * simt::kWarp;
inline constexpr int kTileKeys = 64;

// Shared memory of K or V. Direct (f16, bf16): two stages of the tile, bf16 is converted in place.
// Otherwise the f16 tile, then two stages of codes and scales as stored.
template <int kDim, bool kDirect>
struct Operand {
  static constexpr int kRow = (kDim + 8) * 2;    // bytes; + 8 keeps ldmatrix free of bank conflicts
  static constexpr int kTile = kTileKeys * kRow;
  static constexpr int kCodes = kTileKeys * kDim;    // of one stage, enough for q8_0
  static constexpr int kScaleRow = kDim / kKvGroup * 2;
  static constexpr int kRaw = kCodes + kTileKeys * kScaleRow;
  static_assert(kTile + 2 * kRaw <= 2 * kTile && kRaw % 16 == 0);

  alignas(16) uint8_t bytes[2 * kTile];

  __device__ uint8_t* stage(int i) { return bytes + (kDirect ? i * kTile : kTile + i * kRaw); }
  __device__ uint8_t* tile(int i) { return bytes + (kDirect ? i * kTile : 0); }
};

// Where the keys of a tile lie.
struct KeyPlaces {
  int32_t block[kTileKeys];
  int32_t slot[kTileKeys];
};

// Of the keys first .. end - 1, those of one tile.
__device__ inline void find_keys(const PagedAttentionArgs& call, const SpanView& span,
                                 int32_t kv_head, int32_t first, int32_t end,
                                 KeyPlaces& places) {
  const int token = static_cast<int>(threadIdx.x);
  const int32_t position = first + token;
  if (token >= kTileKeys || position >= end) return;
  const int32_t page = call.batch.pages[span.first_page + position / call.kv.page_tokens];
  places.block[token] = page * call.kv.kv_heads + kv_head;
  places.slot[token] = position % call.kv.page_tokens;
}

// Starts the copy of `count` keys; the rest of the tile becomes zero.
template <int kDim, bool kDirect>
__device__ void copy_keys(const KvSide& side, const KeyPlaces& places, int count, uint8_t* stage) {
  using Memory = Operand<kDim, kDirect>;
  const int pieces = kDirect ? kDim / 8 : side.code_row / 16;
  const int row = kDirect ? Memory::kRow : side.code_row;
  const bool aligned = kDirect || side.page_tokens * (side.code_row + side.scale_row) % 16 == 0;
#pragma unroll 4
  for (int i = static_cast<int>(threadIdx.x); i < kTileKeys * pieces; i += kTileThreads) {
    const int token = i / pieces, piece = i % pieces;
    const bool valid = token < count;
    const uint8_t* from = valid ? kv_codes(side, places.block[token], places.slot[token]) +
                                      piece * 16 : side.data;
    uint8_t* to = stage + token * row + piece * 16;
    if (aligned) {
      prim::copy_async<16>(to, from, valid);
    } else {
      for (int w = 0; w < 16; w += 4) prim::copy_async<4>(to + w, from + w, valid);
    }
  }
  if constexpr (!kDirect) {
    constexpr int kWords = Memory::kScaleRow / 4;
    for (int i = static_cast<int>(threadIdx.x); i < kTileKeys * kWords; i += kTileThreads) {
      const int token = i / kWords, word = i % kWords;
      const bool valid = token < count;
      const uint8_t* from = valid ? kv_scales(side, places.block[token], places.slot[token]) +
                                        word * 4 : side.data;
      prim::copy_async<4>(stage + Memory::kCodes + token * Memory::kScaleRow + word * 4, from,
                          valid);
    }
  }
}

template <KvType kType, int kDim>
__device__ void convert_as(const KvSide& side, const uint8_t* raw, uint8_t* tile) {
  using Memory = Operand<kDim, false>;
  constexpr int kChunks = kDim / 8;
#pragma unroll 2
  for (int i = static_cast<int>(threadIdx.x); i < kTileKeys * kChunks; i += kTileThreads) {
    const int token = i / kChunks, chunk = i % kChunks;
    float x[8];
    kv_elements8<kType>(raw + token * side.code_row,
                        raw + Memory::kCodes + token * Memory::kScaleRow, chunk, x);
    Words4 packed;
    for (int w = 0; w < 4; ++w)
      packed.word[w] = prim::pack(prim::to_f16(x[2 * w]), prim::to_f16(x[2 * w + 1]));
    store_as(tile + token * Memory::kRow + chunk * 16, packed);
  }
}

template <int kDim>
__device__ void convert_bf16(uint8_t* tile) {
  constexpr int kChunks = kDim / 8;
#pragma unroll 2
  for (int i = static_cast<int>(threadIdx.x); i < kTileKeys * kChunks; i += kTileThreads) {
    uint8_t* at = tile + i / kChunks * Operand<kDim, true>::kRow + i % kChunks * 16;
    auto part = load_as<Words4>(at);
    for (uint32_t& word : part.word) {
      const float low = prim::to_float(prim::bf16{static_cast<uint16_t>(word)});
      const float high = prim::to_float(prim::bf16{static_cast<uint16_t>(word >> 16)});
      word = prim::pack(prim::to_f16(low), prim::to_f16(high));
    }
    store_as(at, part);
  }
}

template <int kDim, bool kDirect>
__device__ void convert(const KvSide& side, Operand<kDim, kDirect>& memory, int stage) {
  if constexpr (kDirect) {
    if (side.type == KvType::bf16) convert_bf16<kDim>(memory.tile(stage));
  } else {
    if (side.type == KvType::q8_0)
      convert_as<KvType::q8_0, kDim>(side, memory.stage(stage), memory.tile(stage));
    else
      convert_as<KvType::q4_0, kDim>(side, memory.stage(stage), memory.tile(stage));
  }
}

}  // namespace swarm::engine::kernels::cuda
