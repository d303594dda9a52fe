// engine/kernels/cuda/attention/kv_block.h — How K and V lie in a (page, kv_head) block: the code
// rows of all slots, then, for quantised types, the scale rows of all slots. Code rows stay as
// aligned as the block is; head sizes 64 and 128 make every block and row a multiple of 4 bytes.
// The same layout as kernels/kv_layer.h describes for the host. Plain functions, usable on both
// sides.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/batch.h"
#include "engine/kernels/cuda/prim/types.h"

namespace swarm::engine::kernels::cuda {

// K or V of one layer.
struct KvSide {
  uint8_t* data = nullptr;
  KvType type = KvType::f16;
  int32_t page_tokens = 0;
  int32_t code_row = 0;                // bytes of the codes of one slot
  int32_t scale_row = 0;               // bytes of the scales of one slot; 0 unless quantised
};

PRIM_BOTH KvSide kv_side(KvType type, uint8_t* data, const KvView& kv) {
  return {data, type, kv.page_tokens, static_cast<int32_t>(kv_code_bytes(type, kv.head_dim)),
          static_cast<int32_t>(kv_scale_bytes(type, kv.head_dim))};
}
PRIM_BOTH KvSide k_side(const KvView& kv) { return kv_side(kv.k_type, kv.k, kv); }
PRIM_BOTH KvSide v_side(const KvView& kv) { return kv_side(kv.v_type, kv.v, kv); }

// block = page * kv_heads + kv_head.
PRIM_BOTH uint8_t* kv_block(const KvSide& side, int32_t block) {
  return side.data + int64_t{block} * side.page_tokens * (side.code_row + side.scale_row);
}
PRIM_BOTH uint8_t* kv_codes(const KvSide& side, int32_t block, int32_t slot) {
  return kv_block(side, block) + int64_t{slot} * side.code_row;
}
PRIM_BOTH uint8_t* kv_scales(const KvSide& side, int32_t block, int32_t slot) {
  return kv_block(side, block) + int64_t{side.page_tokens} * side.code_row +
         int64_t{slot} * side.scale_row;
}

// One value of type T from an address that is a multiple of sizeof(T) bytes.
template <class T>
PRIM_BOTH T load_as(const void* from) {
  T value;
  __builtin_memcpy(&value, __builtin_assume_aligned(from, sizeof(T)), sizeof(T));
  return value;
}
template <class T>
PRIM_BOTH void store_as(void* to, T value) {
  __builtin_memcpy(__builtin_assume_aligned(to, sizeof(T)), &value, sizeof(T));
}

struct alignas(16) Words4 {
  uint32_t word[4];
};
struct alignas(16) Floats4 {
  float value[4];
};

PRIM_BOTH float kv_scale(const uint8_t* scales, int32_t group) {
  return prim::to_float(load_as<prim::f16>(scales + group * 2));
}
PRIM_BOTH int32_t q4_code(uint8_t byte, bool high) { return (high ? byte >> 4 : byte & 15) - 8; }

// Element j of a row, for any type, head size and alignment.
PRIM_BOTH float kv_element(KvType type, const uint8_t* codes, const uint8_t* scales, int32_t j) {
  switch (type) {
    case KvType::f32: return load_as<float>(codes + j * 4);
    case KvType::f16: return prim::to_float(load_as<prim::f16>(codes + j * 2));
    case KvType::bf16: return prim::to_float(load_as<prim::bf16>(codes + j * 2));
    case KvType::q8_0:
      return kv_scale(scales, j / kKvGroup) * static_cast<float>(static_cast<int8_t>(codes[j]));
    case KvType::q4_0: break;
  }
  const int32_t group = j / kKvGroup, i = j % kKvGroup;
  return kv_scale(scales, group) *
         static_cast<float>(q4_code(codes[group * 16 + i % 16], i >= 16));
}

// Elements 8 chunk .. 8 chunk + 7 of a row; rows are multiples of 4 bytes (head sizes 64, 128) and
// those of f32, f16 and bf16 of 16 bytes.
template <KvType kType>
PRIM_BOTH void kv_elements8(const uint8_t* codes, const uint8_t* scales, int32_t chunk,
                            float* out) {
  if constexpr (kType == KvType::f32) {
    for (int i = 0; i < 2; ++i) {
      const auto part = load_as<Floats4>(codes + chunk * 32 + i * 16);
      for (int j = 0; j < 4; ++j) out[i * 4 + j] = part.value[j];
    }
  } else if constexpr (kType == KvType::f16 || kType == KvType::bf16) {
    const auto part = load_as<Words4>(codes + chunk * 16);
    for (int i = 0; i < 8; ++i) {
      const auto bits = static_cast<uint16_t>(part.word[i / 2] >> (i % 2 * 16));
      if constexpr (kType == KvType::f16) out[i] = prim::to_float(prim::f16{bits});
      if constexpr (kType == KvType::bf16) out[i] = prim::to_float(prim::bf16{bits});
    }
  } else {
    const float scale = kv_scale(scales, chunk / 4);
    constexpr bool kWide = kType == KvType::q8_0;
    // 8 codes of q8_0, or the 8 bytes whose low (chunk % 4 < 2) or high nibbles are the codes.
    const uint8_t* from = codes + (kWide ? chunk * 8 : chunk / 4 * 16 + chunk % 2 * 8);
    const uint32_t words[2] = {load_as<uint32_t>(from), load_as<uint32_t>(from + 4)};
    for (int i = 0; i < 8; ++i) {
      const auto byte = static_cast<uint8_t>(words[i / 4] >> (i % 4 * 8));
      const int32_t code = kWide ? static_cast<int8_t>(byte) : q4_code(byte, chunk % 4 >= 2);
      out[i] = scale * static_cast<float>(code);
    }
  }
}

}  // namespace swarm::engine::kernels::cuda
