// engine/kernels/cuda/weights/weight_codec_float.h — Codecs of the types that are multiplied as
// numbers: 8 consecutive elements of a placed row (weight_types.h) as f32. Device code, no state.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/weights/weight_codec.h"

namespace swarm::engine::kernels::cuda {
inline namespace SIMT_SIDE {

struct Eight {
  float v[8];
};

// kParts: bf16 numbers that a weight is the sum of in gemm: 1 and 2 are exact for bf16 and f16; an
// fp8 weight times its scale is rounded to 2 (error 2^-17). 0: no tensor cores.

template <>
struct Codec<WeightType::f32> {
  static constexpr int kParts = 0;
  struct Raw {
    Words4 low, high;
  };
  __device__ static Raw load(const uint8_t* row, int unit, int) {
    const uint8_t* at = row + 32 * int64_t{unit};
    return {detail::load128(at), detail::load128(at + 16)};
  }
  __device__ static void decode(const Raw& raw, Eight& out) {
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      out.v[k] = prim::bit_cast<float>(raw.low.w[k]);
      out.v[k + 4] = prim::bit_cast<float>(raw.high.w[k]);
    }
  }
};

template <>
struct Codec<WeightType::f16> {
  static constexpr int kParts = 2;
  struct Raw {
    Words4 q;
  };
  __device__ static Raw load(const uint8_t* row, int unit, int) {
    return {detail::load128(row + 16 * int64_t{unit})};
  }
  __device__ static void decode(const Raw& raw, Eight& out) {
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      out.v[2 * k] = detail::low_f16(raw.q.w[k]);
      out.v[2 * k + 1] = detail::high_f16(raw.q.w[k]);
    }
  }
};

template <>
struct Codec<WeightType::bf16> {
  static constexpr int kParts = 1;
  using Raw = Codec<WeightType::f16>::Raw;
  __device__ static Raw load(const uint8_t* row, int unit, int) {
    return {detail::load128(row + 16 * int64_t{unit})};
  }
  __device__ static void decode(const Raw& raw, Eight& out) {
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      out.v[2 * k] = prim::bit_cast<float>(raw.q.w[k] << 16);
      out.v[2 * k + 1] = prim::bit_cast<float>(raw.q.w[k] & 0xffff0000u);
    }
  }
};

template <>
struct Codec<WeightType::fp8> {
  static constexpr int kParts = 2;
  struct Raw {
    Words2 q;
    uint32_t scale;
  };
  __device__ static Raw load(const uint8_t* row, int unit, int cols) {
    return {detail::load64(row + 8 * int64_t{unit}),
            detail::load32(row + cols + 4 * (unit / 16))};
  }
  __device__ static void decode(const Raw& raw, Eight& out) {
    const auto scale = prim::bit_cast<float>(raw.scale);
#pragma unroll
    for (int k = 0; k < 8; ++k) {
      const auto code = static_cast<uint8_t>(raw.q.w[k / 4] >> (8 * (k % 4)) & 0xffu);
      out.v[k] = prim::to_float(prim::e4m3{code}) * scale;
    }
  }
};

// 8 elements of a row of activations; zeros beyond cols.
__device__ inline Eight load_x(const float* row, int column, int cols) {
  Eight x;
  if (column + 8 <= cols && cols % 4 == 0) {
    const auto* at = reinterpret_cast<const Words4*>(row + column);
    const Words4 low = prim::load_readonly(at), high = prim::load_readonly(at + 1);
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      x.v[k] = prim::bit_cast<float>(low.w[k]);
      x.v[k + 4] = prim::bit_cast<float>(high.w[k]);
    }
  } else {
#pragma unroll
    for (int k = 0; k < 8; ++k) x.v[k] = column + k < cols ? row[column + k] : 0.0f;
  }
  return x;
}

}  // namespace SIMT_SIDE
}  // namespace swarm::engine::kernels::cuda
