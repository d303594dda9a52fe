// engine/kernels/cuda/prim/math.h — Arithmetic with a stated rounding. "exact": correctly rounded,
// the same bits on every side. "fast": the special function unit; the error is that of the PTX ISA.
// "library": CUDA's or the C library's function, within 2 ulp of the true value.
//
// nvcc contracts a * b + c into fma, g++ does not: where bits must agree between the sides, write
// fma, multiply and add.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/prim/types.h"
#include "engine/kernels/cuda/simt/simt.h"

#if !SIMT_DEVICE
#include <cmath>
#endif

namespace swarm::prim {
inline namespace SIMT_SIDE {

inline constexpr float kLog2E = 1.44269504088896340736f;

#if SIMT_DEVICE
#define PRIM_MATH(name, parameters, device, host) \
  __device__ inline float name parameters { return device; }
#else
#define PRIM_MATH(name, parameters, device, host) \
  inline float name parameters { return host; }
#endif

// Exact.
PRIM_MATH(fma, (float a, float b, float c), __fmaf_rn(a, b, c), std::fmaf(a, b, c))
PRIM_MATH(multiply, (float a, float b), __fmul_rn(a, b), a * b)
PRIM_MATH(add, (float a, float b), __fadd_rn(a, b), a + b)
PRIM_MATH(divide, (float a, float b), __fdiv_rn(a, b), a / b)
PRIM_MATH(sqrt, (float a), __fsqrt_rn(a), std::sqrt(a))
PRIM_MATH(abs, (float a), fabsf(a), std::fabs(a))
PRIM_MATH(round, (float a), rintf(a), std::nearbyint(a))   // ties to even

// Library.
PRIM_MATH(exp_library, (float a), expf(a), std::exp(a))
PRIM_MATH(log, (float a), logf(a), std::log(a))
PRIM_MATH(sin, (float a), sinf(a), std::sin(a))
PRIM_MATH(cos, (float a), cosf(a), std::cos(a))
PRIM_MATH(pow, (float a, float b), powf(a, b), std::pow(a, b))
PRIM_MATH(tanh, (float a), tanhf(a), std::tanh(a))

#undef PRIM_MATH

// 1 / sqrt(a), fast: relative error at most 2^-22.9.
__device__ inline float rsqrt(float a) {
#if SIMT_DEVICE
  float r;
  asm("rsqrt.approx.f32 %0, %1;" : "=f"(r) : "f"(a));
  return r;
#else
  return static_cast<float>(1.0 / std::sqrt(static_cast<double>(a)));
#endif
}

// 2^a, fast: relative error at most 2^-22. exp2(-infinity) is 0.
__device__ inline float exp2(float a) {
#if SIMT_DEVICE
  float r;
  asm("ex2.approx.f32 %0, %1;" : "=f"(r) : "f"(a));
  return r;
#else
  return std::exp2(a);
#endif
}

// e^a, fast: as exp2, plus the rounding of a * log2(e), so 2^-22 * (1 + |a|) or so.
__device__ inline float exp(float a) { return exp2(multiply(a, kLog2E)); }

// 1 / a, fast: at most 1 ulp.
__device__ inline float reciprocal(float a) {
#if SIMT_DEVICE
  float r;
  asm("rcp.approx.f32 %0, %1;" : "=f"(r) : "f"(a));
  return r;
#else
  return 1.0f / a;
#endif
}

// Nearest integer, ties to even; saturates.
__device__ inline int32_t to_int(float a) {
#if SIMT_DEVICE
  return __float2int_rn(a);
#else
  if (!(a > -2147483648.0f)) return a != a ? 0 : INT32_MIN;
  if (a >= 2147483648.0f) return INT32_MAX;
  return static_cast<int32_t>(std::nearbyint(a));
#endif
}

}  // namespace SIMT_SIDE
}  // namespace swarm::prim
