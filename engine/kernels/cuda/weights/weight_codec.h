// engine/kernels/cuda/weights/weight_codec.h — How kernels read a weight: Codec<type> turns one
// group of 32 elements of a placed row (weight_types.h) into int8 codes, scales and minima, so that
// one gemv, one gemm and one embed serve every integer type. load() only loads, so that a kernel
// can have loads under way while it computes; decode() only computes. Device code, no state.
//
// value(i) = scale[i / 16] * code(i) - min[i / 16]; codes lie in order, four to a word. Scales and
// minima are products of an f16 and a small integer and exact in f32.
// IQ1 to IQ3 codecs: weight_codec_iq.h; plain numbers: weight_codec_float.h.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/prim/integer.h"
#include "engine/kernels/cuda/prim/memory.h"
#include "engine/kernels/cuda/prim/types.h"
#include "engine/kernels/cuda/weights/weight_types.h"

namespace swarm::engine::kernels::cuda {
inline namespace SIMT_SIDE {

using prim::Words2;
using prim::Words4;

struct Group {
  uint32_t codes[8];
  float scale[2];                      // [1] only where Codec::kHalves
  float min[2];                        // only where Codec::kMin
};

// kHalves: scales (and minima) per 16 elements, else per 32.
template <WeightType type>
struct Codec;

namespace detail {

__device__ inline uint32_t load8(const uint8_t* from) { return *from; }
__device__ inline uint32_t load16(const uint8_t* from) {
  return *reinterpret_cast<const uint16_t*>(from);
}
__device__ inline uint32_t load32(const uint8_t* from) {
  return prim::load_once(reinterpret_cast<const uint32_t*>(from));
}
__device__ inline Words2 load64(const uint8_t* from) {
  return prim::load_once(reinterpret_cast<const Words2*>(from));
}
__device__ inline Words4 load128(const uint8_t* from) {
  return prim::load_once(reinterpret_cast<const Words4*>(from));
}

__device__ inline float low_f16(uint32_t word) {
  return prim::to_float(prim::f16{static_cast<uint16_t>(word & 0xffffu)});
}
__device__ inline float high_f16(uint32_t word) { return low_f16(word >> 16); }
__device__ inline float as_float(uint32_t small) {
  return static_cast<float>(static_cast<int32_t>(small));
}
__device__ inline float low_i8(uint32_t word) {
  return static_cast<float>(static_cast<int8_t>(word & 0xffu));
}

__device__ inline void nibbles(const Words4& q, uint32_t (&codes)[8]) {
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    codes[k] = q.w[k] & 0x0f0f0f0fu;
    codes[k + 4] = (q.w[k] >> 4) & 0x0f0f0f0fu;
  }
}

// word << by, or >> -by.
__device__ inline uint32_t shifted(uint32_t word, int by) {
  return by >= 0 ? word << by : word >> -by;
}

// Adds bit 8 j + k of `bits` as bit `to` of byte j of codes[k].
template <int to>
__device__ inline void add_bits(uint32_t bits, uint32_t (&codes)[8]) {
#pragma unroll
  for (int k = 0; k < 8; ++k) codes[k] |= shifted(bits, to - k) & (0x01010101u << to);
}

// Adds two bits per element (pairs in weight_types.h) at bits `to` and to + 1.
template <int to>
__device__ inline void add_pairs(const Words2& pairs, uint32_t (&codes)[8]) {
#pragma unroll
  for (int k = 0; k < 8; ++k)
    codes[k] |= shifted(pairs.w[k / 4], to - 2 * (k % 4)) & (0x03030303u << to);
}

// Bytes of 0..127 minus `centre` (0..127), as int8: no borrow between bytes.
template <uint32_t centre>
__device__ inline void subtract(uint32_t (&codes)[8]) {
#pragma unroll
  for (int k = 0; k < 8; ++k)
    codes[k] = ((codes[k] | 0x80808080u) - centre * 0x01010101u) ^ 0x80808080u;
}

// 16 levels of one byte each.
struct Levels {
  uint32_t w[4];
};
constexpr Levels pack_levels(const int (&levels)[16]) {
  Levels packed{};
  for (int i = 0; i < 16; ++i)
    packed.w[i / 4] |= (static_cast<uint32_t>(levels[i]) & 0xffu) << (8 * (i % 4));
  return packed;
}

// The levels of four nibbles (bits 0..15 of `four`), in order.
__device__ inline uint32_t look_up(uint32_t four, const Levels& levels) {
  const uint32_t index = four & 0x7777u;
  const uint32_t low = prim::byte_permute(levels.w[0], levels.w[1], index);
  const uint32_t high = prim::byte_permute(levels.w[2], levels.w[3], index);
  return prim::byte_permute(low, high, 0x3210u | ((four & 0x8888u) >> 1));
}

__device__ inline void look_up(const Words4& q, const Levels& levels, uint32_t (&codes)[8]) {
#pragma unroll
  for (int k = 0; k < 4; ++k) {
    codes[2 * k] = look_up(q.w[k] & 0xffffu, levels);
    codes[2 * k + 1] = look_up(q.w[k] >> 16, levels);
  }
}

inline constexpr int kIq4Values[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                       1,    13,   25,  38,  53,  69,  89,  113};
inline constexpr int kE2m1Doubled[16] = {0, 1, 2, 3, 4, 6, 8, 12, 0, -1, -2, -3, -4, -6, -8, -12};

}  // namespace detail

template <>
struct Codec<WeightType::q4_0> {
  static constexpr bool kHalves = false, kMin = false;
  struct Raw {
    Words4 q;
    uint32_t d;
  };
  __device__ static Raw load(const uint8_t* row, int g, int groups) {
    return {detail::load128(row + 16 * g), detail::load16(row + 16 * groups + 2 * g)};
  }
  __device__ static void decode(const Raw& raw, int, Group& out) {
    detail::nibbles(raw.q, out.codes);
    detail::subtract<8>(out.codes);
    out.scale[0] = detail::low_f16(raw.d);
  }
};

template <>
struct Codec<WeightType::q4_1> {
  static constexpr bool kHalves = false, kMin = true;
  struct Raw {
    Words4 q;
    uint32_t dm;
  };
  __device__ static Raw load(const uint8_t* row, int g, int groups) {
    return {detail::load128(row + 16 * g), detail::load32(row + 16 * groups + 4 * g)};
  }
  __device__ static void decode(const Raw& raw, int, Group& out) {
    detail::nibbles(raw.q, out.codes);
    out.scale[0] = detail::low_f16(raw.dm);
    out.min[0] = -detail::high_f16(raw.dm);
  }
};

template <>
struct Codec<WeightType::q5_0> {
  static constexpr bool kHalves = false, kMin = false;
  struct Raw {
    Words4 q;
    uint32_t high, d;
  };
  __device__ static Raw load(const uint8_t* row, int g, int groups) {
    return {detail::load128(row + 16 * g), detail::load32(row + 16 * groups + 4 * g),
            detail::load16(row + 20 * groups + 2 * g)};
  }
  __device__ static void decode(const Raw& raw, int, Group& out) {
    detail::nibbles(raw.q, out.codes);
    detail::add_bits<4>(raw.high, out.codes);
    detail::subtract<16>(out.codes);
    out.scale[0] = detail::low_f16(raw.d);
  }
};

template <>
struct Codec<WeightType::q5_1> {
  static constexpr bool kHalves = false, kMin = true;
  struct Raw {
    Words4 q;
    uint32_t high, dm;
  };
  __device__ static Raw load(const uint8_t* row, int g, int groups) {
    return {detail::load128(row + 16 * g), detail::load32(row + 16 * groups + 4 * g),
            detail::load32(row + 20 * groups + 4 * g)};
  }
  __device__ static void decode(const Raw& raw, int, Group& out) {
    detail::nibbles(raw.q, out.codes);
    detail::add_bits<4>(raw.high, out.codes);
    out.scale[0] = detail::low_f16(raw.dm);
    out.min[0] = -detail::high_f16(raw.dm);
  }
};

template <>
struct Codec<WeightType::q8_0> {
  static constexpr bool kHalves = false, kMin = false;
  struct Raw {
    Words4 first, second;
    uint32_t d;
  };
  __device__ static Raw load(const uint8_t* row, int g, int groups) {
    return {detail::load128(row + 16 * g), detail::load128(row + 16 * groups + 16 * g),
            detail::load16(row + 32 * groups + 2 * g)};
  }
  __device__ static void decode(const Raw& raw, int, Group& out) {
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      out.codes[k] = raw.first.w[k];
      out.codes[k + 4] = raw.second.w[k];
    }
    out.scale[0] = detail::low_f16(raw.d);
  }
};

template <>
struct Codec<WeightType::iq4_nl> {
  static constexpr bool kHalves = false, kMin = false;
  using Raw = Codec<WeightType::q4_0>::Raw;
  __device__ static Raw load(const uint8_t* row, int g, int groups) {
    return Codec<WeightType::q4_0>::load(row, g, groups);
  }
  __device__ static void decode(const Raw& raw, int, Group& out) {
    constexpr detail::Levels kLevels = detail::pack_levels(detail::kIq4Values);
    detail::look_up(raw.q, kLevels, out.codes);
    out.scale[0] = detail::low_f16(raw.d);
  }
};

template <>
struct Codec<WeightType::iq4_xs> {
  static constexpr bool kHalves = false, kMin = false;
  struct Raw {
    Words4 q;
    Words2 header;                     // d | scales_h << 16, scales_l
  };
  __device__ static Raw load(const uint8_t* row, int g, int groups) {
    return {detail::load128(row + 16 * g), detail::load64(row + 16 * groups + 8 * (g / 8))};
  }
  __device__ static void decode(const Raw& raw, int g, Group& out) {
    constexpr detail::Levels kLevels = detail::pack_levels(detail::kIq4Values);
    detail::look_up(raw.q, kLevels, out.codes);
    const int j = g % 8;
    const uint32_t scale = ((raw.header.w[1] >> (4 * j)) & 15u) |
                           ((raw.header.w[0] >> (16 + 2 * j)) & 3u) << 4;
    out.scale[0] = detail::low_f16(raw.header.w[0]) * (detail::as_float(scale) - 32.0f);
  }
};

template <>
struct Codec<WeightType::mxfp4> {
  static constexpr bool kHalves = false, kMin = false;
  struct Raw {
    Words4 q;
    uint32_t e;
  };
  __device__ static Raw load(const uint8_t* row, int g, int groups) {
    return {detail::load128(row + 16 * g), detail::load8(row + 16 * groups + g)};
  }
  __device__ static void decode(const Raw& raw, int, Group& out) {
    constexpr detail::Levels kLevels = detail::pack_levels(detail::kE2m1Doubled);
    detail::look_up(raw.q, kLevels, out.codes);
    // 2^(e - 128): the codes are doubled. The two smallest are subnormal.
    out.scale[0] = prim::bit_cast<float>(raw.e >= 2 ? (raw.e - 1) << 23 : 0x00200000u << raw.e);
  }
};

template <>
struct Codec<WeightType::q2_k> {
  static constexpr bool kHalves = true, kMin = true;
  struct Raw {
    Words2 q;
    uint32_t scales, d;
  };
  __device__ static Raw load(const uint8_t* row, int g, int groups) {
    return {detail::load64(row + 8 * g), detail::load16(row + 8 * groups + 2 * g),
            detail::load32(row + 10 * groups + 4 * (g / 8))};
  }
  __device__ static void decode(const Raw& raw, int, Group& out) {
#pragma unroll
    for (int k = 0; k < 8; ++k) out.codes[k] = 0;
    detail::add_pairs<0>(raw.q, out.codes);
    const float d = detail::low_f16(raw.d), dmin = detail::high_f16(raw.d);
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      out.scale[h] = d * detail::as_float((raw.scales >> (8 * h)) & 15u);
      out.min[h] = dmin * detail::as_float((raw.scales >> (8 * h + 4)) & 15u);
    }
  }
};

template <>
struct Codec<WeightType::q3_k> {
  static constexpr bool kHalves = true, kMin = false;
  struct Raw {
    Words2 q;
    uint32_t high, scales_high, scales_low, d;
  };
  __device__ static Raw load(const uint8_t* row, int g, int groups) {
    const uint8_t* low = row + 12 * groups + groups / 2;
    return {detail::load64(row + 8 * g), detail::load32(row + 8 * groups + 4 * g),
            detail::load32(row + 12 * groups + 4 * (g / 8)), detail::load8(low + g),
            detail::load16(low + groups + 2 * (g / 8))};
  }
  __device__ static void decode(const Raw& raw, int g, Group& out) {
#pragma unroll
    for (int k = 0; k < 8; ++k) out.codes[k] = 0;
    detail::add_pairs<0>(raw.q, out.codes);
    detail::add_bits<2>(raw.high, out.codes);
    detail::subtract<4>(out.codes);
    const float d = detail::low_f16(raw.d);
    const uint32_t high = raw.scales_high >> (4 * (g % 8));
#pragma unroll
    for (int h = 0; h < 2; ++h) {
      const uint32_t scale = ((raw.scales_low >> (4 * h)) & 15u) | ((high >> (2 * h)) & 3u) << 4;
      out.scale[h] = d * (detail::as_float(scale) - 32.0f);
    }
  }
};

namespace detail {

// Scale and minimum of group g out of the header of q4_k and q5_k.
__device__ inline void k_scale_min(const Words4& header, int g, Group& out) {
  const int shift = 4 * (g % 8);
  const uint32_t high = header.w[3] >> shift;
  const uint32_t scale = ((header.w[1] >> shift) & 15u) | (high & 3u) << 4;
  const uint32_t min = ((header.w[2] >> shift) & 15u) | ((high >> 2) & 3u) << 4;
  out.scale[0] = low_f16(header.w[0]) * as_float(scale);
  out.min[0] = high_f16(header.w[0]) * as_float(min);
}

}  // namespace detail

template <>
struct Codec<WeightType::q4_k> {
  static constexpr bool kHalves = false, kMin = true;
  struct Raw {
    Words4 q, header;
  };
  __device__ static Raw load(const uint8_t* row, int g, int groups) {
    return {detail::load128(row + 16 * g), detail::load128(row + 16 * groups + 16 * (g / 8))};
  }
  __device__ static void decode(const Raw& raw, int g, Group& out) {
    detail::nibbles(raw.q, out.codes);
    detail::k_scale_min(raw.header, g, out);
  }
};

template <>
struct Codec<WeightType::q5_k> {
  static constexpr bool kHalves = false, kMin = true;
  struct Raw {
    Words4 q, header;
    uint32_t high;
  };
  __device__ static Raw load(const uint8_t* row, int g, int groups) {
    return {detail::load128(row + 16 * g), detail::load128(row + 16 * groups + 16 * (g / 8)),
            detail::load32(row + 18 * groups + 4 * g)};
  }
  __device__ static void decode(const Raw& raw, int g, Group& out) {
    detail::nibbles(raw.q, out.codes);
    detail::add_bits<4>(raw.high, out.codes);
    detail::k_scale_min(raw.header, g, out);
  }
};

template <>
struct Codec<WeightType::q6_k> {
  static constexpr bool kHalves = true, kMin = false;
  struct Raw {
    Words4 q;
    Words2 high;
    uint32_t scales, d;
  };
  __device__ static Raw load(const uint8_t* row, int g, int groups) {
    return {detail::load128(row + 16 * g), detail::load64(row + 16 * groups + 8 * g),
            detail::load16(row + 24 * groups + 2 * g),
            detail::load16(row + 26 * groups + 2 * (g / 8))};
  }
  __device__ static void decode(const Raw& raw, int, Group& out) {
    detail::nibbles(raw.q, out.codes);
    detail::add_pairs<4>(raw.high, out.codes);
    detail::subtract<32>(out.codes);
    const float d = detail::low_f16(raw.d);
    out.scale[0] = d * detail::low_i8(raw.scales);
    out.scale[1] = d * detail::low_i8(raw.scales >> 8);
  }
};

}  // namespace SIMT_SIDE
}  // namespace swarm::engine::kernels::cuda
