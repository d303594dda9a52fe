// engine/kernels/cuda/weights/weight_codec_iq.h — Codecs of the lattice types IQ2_* and IQ3_*:
// indices into a codebook of points with 8 or 4 small elements, and signs. The codebooks (2 to 8
// KiB) are built at compile time from formats/iq_codebooks.inc and lie in global memory, where the
// first-level cache holds them. Device code, no state. Source: reference/engine.md sections 3.4 and
// 3.5.
#pragma once

#include <cstdint>
#include <string_view>

#include "engine/kernels/cuda/weights/weight_codec.h"

namespace swarm::engine::kernels::cuda {
inline namespace SIMT_SIDE {
namespace detail {
namespace codebook {

#include "engine/formats/iq_codebooks.inc"

template <class Point, int kEntries>
struct Points {
  Point at[kEntries];
};

consteval uint32_t hex_digit(char c) {
  return static_cast<uint32_t>(c <= '9' ? c - '0' : c - 'a' + 10);
}

// Elements of one point as bytes of words: level[(code >> bits * j) & mask].
template <int kElements, int kLevels>
consteval void expand_point(std::string_view digits, const uint32_t (&levels)[kLevels],
                            uint32_t* words) {
  constexpr uint32_t kBits = kLevels > 4 ? 3 : 2;
  uint32_t code = 0;
  for (const char c : digits) code = code * 16 + hex_digit(c);
  for (uint32_t j = 0; j < kElements; ++j)
    words[j / 4] |= levels[(code >> (kBits * j)) & ((1u << kBits) - 1)] << (8 * (j % 4));
}

template <int kEntries, int kLevels>
consteval Points<Words2, kEntries> expand8(std::string_view codes,
                                           const uint32_t (&levels)[kLevels]) {
  Points<Words2, kEntries> points{};
  for (size_t i = 0; i < kEntries; ++i)
    expand_point<8>(codes.substr(4 * i, 4), levels, points.at[i].w);
  return points;
}

template <int kEntries, int kLevels>
consteval Points<uint32_t, kEntries> expand4(std::string_view codes,
                                             const uint32_t (&levels)[kLevels]) {
  Points<uint32_t, kEntries> points{};
  for (size_t i = 0; i < kEntries; ++i)
    expand_point<4>(codes.substr(3 * i, 3), levels, &points.at[i]);
  return points;
}

inline constexpr uint32_t kLevels2[] = {8, 25, 43};
inline constexpr uint32_t kLevels3xxs[] = {4, 12, 20, 28, 36, 44, 52, 62};
inline constexpr uint32_t kLevels3s[] = {1, 3, 5, 7, 9, 11, 13, 15};

__device__ const Points<Words2, 256> kIq2xxs = expand8<256>(kIq2xxsCodes, kLevels2);
__device__ const Points<Words2, 512> kIq2xs = expand8<512>(kIq2xsCodes, kLevels2);
__device__ const Points<Words2, 1024> kIq2s = expand8<1024>(kIq2sCodes, kLevels2);
__device__ const Points<uint32_t, 256> kIq3xxs = expand4<256>(kIq3xxsCodes, kLevels3xxs);
__device__ const Points<uint32_t, 512> kIq3s = expand4<512>(kIq3sCodes, kLevels3s);

}  // namespace codebook

// Negates byte j of `point` where bit j of `four` is set. Elements are 1..127, so the complement
// plus one never carries.
__device__ inline uint32_t with_signs(uint32_t point, uint32_t four) {
  const uint32_t ones = ((four & 15u) * 0x00204081u) & 0x01010101u;
  return (point ^ (ones * 255u)) + ones;
}

// The eighth sign makes the number of minus signs even.
__device__ inline uint32_t eight_signs(uint32_t seven) {
  const uint32_t s = seven & 127u;
  return s | static_cast<uint32_t>(prim::popcount(s) & 1) << 7;
}

__device__ inline void put_eight(const Words2& point, uint32_t signs, uint32_t* codes) {
  codes[0] = with_signs(point.w[0], signs);
  codes[1] = with_signs(point.w[1], signs >> 4);
}

}  // namespace detail

template <>
struct Codec<WeightType::iq2_xxs> {
  static constexpr bool kHalves = false, kMin = false;
  struct Raw {
    Words2 q;
    uint32_t d;
  };
  __device__ static Raw load(const uint8_t* row, int g, int groups) {
    return {detail::load64(row + 8 * g), detail::load16(row + 8 * groups + 2 * (g / 8))};
  }
  __device__ static void decode(const Raw& raw, int, Group& out) {
#pragma unroll
    for (int l = 0; l < 4; ++l) {
      const Words2 point = detail::codebook::kIq2xxs.at[(raw.q.w[0] >> (8 * l)) & 255u];
      detail::put_eight(point, detail::eight_signs(raw.q.w[1] >> (7 * l)), out.codes + 2 * l);
    }
    out.scale[0] = detail::low_f16(raw.d) * (0.5f + detail::as_float(raw.q.w[1] >> 28)) * 0.25f;
  }
};

template <>
struct Codec<WeightType::iq2_xs> {
  static constexpr bool kHalves = true, kMin = false;
  struct Raw {
    Words2 q;
    uint32_t scales, d;
  };
  __device__ static Raw load(const uint8_t* row, int g, int groups) {
    return {detail::load64(row + 8 * g), detail::load8(row + 8 * groups + g),
            detail::load16(row + 9 * groups + 2 * (g / 8))};
  }
  __device__ static void decode(const Raw& raw, int, Group& out) {
#pragma unroll
    for (int l = 0; l < 4; ++l) {
      const uint32_t v = raw.q.w[l / 2] >> (16 * (l % 2));
      const Words2 point = detail::codebook::kIq2xs.at[v & 511u];
      detail::put_eight(point, detail::eight_signs(v >> 9), out.codes + 2 * l);
    }
    const float d = detail::low_f16(raw.d) * 0.25f;
    out.scale[0] = d * (0.5f + detail::as_float(raw.scales & 15u));
    out.scale[1] = d * (0.5f + detail::as_float(raw.scales >> 4));
  }
};

template <>
struct Codec<WeightType::iq2_s> {
  static constexpr bool kHalves = true, kMin = false;
  struct Raw {
    Words2 q;                          // indices, signs
    uint32_t more, d;                  // index bits 8 and 9, scales << 8
  };
  __device__ static Raw load(const uint8_t* row, int g, int groups) {
    return {detail::load64(row + 8 * g), detail::load16(row + 8 * groups + 2 * g),
            detail::load16(row + 10 * groups + 2 * (g / 8))};
  }
  __device__ static void decode(const Raw& raw, int, Group& out) {
#pragma unroll
    for (int l = 0; l < 4; ++l) {
      const uint32_t index =
          ((raw.q.w[0] >> (8 * l)) & 255u) | ((raw.more >> (2 * l)) & 3u) << 8;
      detail::put_eight(detail::codebook::kIq2s.at[index], raw.q.w[1] >> (8 * l),
                        out.codes + 2 * l);
    }
    const float d = detail::low_f16(raw.d) * 0.25f;
    out.scale[0] = d * (0.5f + detail::as_float((raw.more >> 8) & 15u));
    out.scale[1] = d * (0.5f + detail::as_float((raw.more >> 12) & 15u));
  }
};

template <>
struct Codec<WeightType::iq3_xxs> {
  static constexpr bool kHalves = false, kMin = false;
  struct Raw {
    Words2 q;
    uint32_t signs, d;
  };
  __device__ static Raw load(const uint8_t* row, int g, int groups) {
    return {detail::load64(row + 8 * g), detail::load32(row + 8 * groups + 4 * g),
            detail::load16(row + 12 * groups + 2 * (g / 8))};
  }
  __device__ static void decode(const Raw& raw, int, Group& out) {
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      const uint32_t point = detail::codebook::kIq3xxs.at[(raw.q.w[k / 4] >> (8 * (k % 4))) & 255u];
      const uint32_t signs = detail::eight_signs(raw.signs >> (7 * (k / 2)));
      out.codes[k] = detail::with_signs(point, signs >> (4 * (k % 2)));
    }
    out.scale[0] = detail::low_f16(raw.d) * (0.5f + detail::as_float(raw.signs >> 28)) * 0.5f;
  }
};

template <>
struct Codec<WeightType::iq3_s> {
  static constexpr bool kHalves = false, kMin = false;
  struct Raw {
    Words2 q;
    uint32_t signs, scales, high, d;   // scales of the super-block, index bit 8 of each point
  };
  __device__ static Raw load(const uint8_t* row, int g, int groups) {
    const uint8_t* high = row + 12 * groups + groups / 2;
    return {detail::load64(row + 8 * g), detail::load32(row + 8 * groups + 4 * g),
            detail::load32(row + 12 * groups + 4 * (g / 8)), detail::load8(high + g),
            detail::load16(high + groups + 2 * (g / 8))};
  }
  __device__ static void decode(const Raw& raw, int g, Group& out) {
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      const uint32_t index =
          ((raw.q.w[k / 4] >> (8 * (k % 4))) & 255u) | ((raw.high >> k) & 1u) << 8;
      out.codes[k] = detail::with_signs(detail::codebook::kIq3s.at[index], raw.signs >> (4 * k));
    }
    const uint32_t scale = (raw.scales >> (4 * (g % 8))) & 15u;
    out.scale[0] = detail::low_f16(raw.d) * (1.0f + 2.0f * detail::as_float(scale));
  }
};

}  // namespace SIMT_SIDE
}  // namespace swarm::engine::kernels::cuda
