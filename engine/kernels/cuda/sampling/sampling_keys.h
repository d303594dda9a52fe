// engine/kernels/cuda/sampling/sampling_keys.h — What sampling.cu computes with: the order of
// tokens as integers, weights as integers, and loops over a row. Device side.
#pragma once

#include "engine/kernels/cuda/prim/block.h"
#include "engine/kernels/cuda/sampling/sampling.h"
#include "engine/kernels/cuda/simt/simt.h"

namespace swarm::engine::kernels::cuda {

// (logit, token) as one integer: larger is better, ties go to the lower id. 32 bits of the logit,
// then 18 of the inverted id; 0 is no token.
inline constexpr int kIdBits = 18;
inline constexpr uint64_t kIdMask = (uint64_t{1} << kIdBits) - 1;
static_assert(kSampleVocabMax == 1 << kIdBits);

__device__ inline uint64_t key_of(float logit, int32_t token) {
  const auto bits = prim::bit_cast<uint32_t>(logit + 0.0f);        // -0 is 0
  const uint32_t ordered = (bits & 0x80000000u) != 0 ? ~bits : bits | 0x80000000u;
  return uint64_t{ordered} << kIdBits | (kIdMask - static_cast<uint64_t>(token));
}
__device__ inline float logit_of(uint64_t key) {
  const auto ordered = static_cast<uint32_t>(key >> kIdBits);
  return prim::bit_cast<float>((ordered & 0x80000000u) != 0 ? ordered ^ 0x80000000u : ~ordered);
}
__device__ inline int32_t token_of(uint64_t key) {
  return static_cast<int32_t>(kIdMask - (key & kIdMask));
}

inline constexpr float kInfinity = __builtin_inff();
__device__ inline bool finite(float x) { return x < kInfinity && x > -kInfinity; }

// e^x for x <= 0 within 2^-50: x = n ln 2 + r, |r| <= ln 2 / 2, Taylor to r^12 (next term 2^-52).
__device__ inline double exp_double(double x) {
  if (!(x > -700.0)) return x == x ? 0.0 : x;
  const int n = static_cast<int>(x * 1.4426950408889634074 - 0.5);
  const double r = x - n * 6.93147180369123816490e-01 - n * 1.90821492927058770002e-10;
  double sum = 1.0;
#pragma unroll
  for (int i = 12; i >= 1; --i) sum = 1.0 + sum * r * (1.0 / i);
  return sum * prim::bit_cast<double>(static_cast<uint64_t>(1023 + n) << 52);
}

// What a token weighs in a draw: multiples of 2^-45, so that kSampleVocabMax of them fit.
struct DrawWeight {
  float largest;
  double inverse_temperature;
  double min_p;                        // lighter tokens weigh nothing

  __device__ uint64_t operator()(uint64_t key) const {
    const double x = (static_cast<double>(logit_of(key)) - largest) * inverse_temperature;
    if (!(x > -33.0)) return 0;        // below 2^-46
    const double weight = exp_double(x);
    return weight < min_p ? 0 : static_cast<uint64_t>(weight * 0x1p45 + 0.5);
  }
};

struct CountOne {
  __device__ uint64_t operator()(uint64_t) const { return 1; }
};

// The row of a block.
struct SampledRow {
  float* logits;
  const uint32_t* mask;                // nullptr: everything is allowed
  int32_t vocab;

  __device__ bool allowed(int32_t token) const {
    return mask == nullptr || (mask[token / 32] >> (token % 32) & 1u) != 0;
  }
  // 0 for what is not allowed or beyond the end.
  __device__ uint64_t key(int32_t token) const {
    return token < vocab && allowed(token) ? key_of(logits[token], token) : 0;
  }
};

__device__ inline SampledRow sampled_row(const SampleArgs& p, int64_t row) {
  const SampleRow& job = p.jobs[row];
  return {p.logits + row * p.stride,
          job.first_mask_word < 0 ? nullptr : p.masks + job.first_mask_word, job.vocab};
}

}  // namespace swarm::engine::kernels::cuda
