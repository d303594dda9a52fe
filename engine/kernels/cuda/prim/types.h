// engine/kernels/cuda/prim/types.h — Storage types of kernels: bits and explicit conversions. All
// rounding is to nearest, ties to even. Usable in plain C++, on the host and on the device; NaN
// stays NaN (its payload is not kept), -0 stays -0. Formulas: IEEE 754 binary16; bfloat16 is the
// upper half of binary32; OCP 8-bit formats E4M3 (no infinity, NaN 0x7f, largest 448) and E5M2.
#pragma once

#include <cstdint>

#if defined(__CUDACC__)
#define PRIM_BOTH __host__ __device__ inline
#else
#define PRIM_BOTH inline
#endif

namespace swarm::prim {

struct f16 { uint16_t bits; };
struct bf16 { uint16_t bits; };
struct e4m3 { uint8_t bits; };
struct e5m2 { uint8_t bits; };
// Two 16-bit values in one register, the first in the lower half.
struct alignas(4) f16x2 { f16 x, y; };
struct alignas(4) bf16x2 { bf16 x, y; };

template <class To, class From>
PRIM_BOTH To bit_cast(From value) {
  static_assert(sizeof(To) == sizeof(From));
  return __builtin_bit_cast(To, value);
}

// --- f16 -----------------------------------------------------------------------------------------

PRIM_BOTH float to_float(f16 h) {
#if defined(__CUDA_ARCH__)
  float value;
  asm("cvt.f32.f16 %0, %1;" : "=f"(value) : "h"(h.bits));
  return value;
#else
  const uint32_t sign = (h.bits & 0x8000u) << 16;
  const uint32_t rest = (h.bits & 0x7fffu) << 13;
  if (rest >= 0x0f800000u)                       // infinity, NaN
    return bit_cast<float>(sign | rest | 0x7f800000u);
  // The exponents of rest and of the value differ by 112, also for subnormals: scaling is exact.
  return bit_cast<float>(bit_cast<uint32_t>(bit_cast<float>(rest) * 0x1p112f) | sign);
#endif
}

PRIM_BOTH f16 to_f16(float value) {
#if defined(__CUDA_ARCH__)
  f16 h;
  asm("cvt.rn.f16.f32 %0, %1;" : "=h"(h.bits) : "f"(value));
  return h;
#else
  const uint32_t bits = bit_cast<uint32_t>(value);
  const auto sign = static_cast<uint16_t>((bits >> 16) & 0x8000u);
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {0x7fffu};
  if (magnitude >= 0x477ff000u) return {static_cast<uint16_t>(sign | 0x7c00u)};   // >= 65520
  if (magnitude < 0x38800000u) {                 // < 2^-14: units of 2^-24, rounded by the addition
    const float scaled = bit_cast<float>(magnitude) + 0.5f;   // 0.5 has a unit of 2^-24
    return {static_cast<uint16_t>(sign | (bit_cast<uint32_t>(scaled) - 0x3f000000u))};
  }
  const uint32_t rounded = magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u);
  return {static_cast<uint16_t>(sign | (rounded >> 13))};
#endif
}

// --- bf16 ----------------------------------------------------------------------------------------

PRIM_BOTH float to_float(bf16 b) { return bit_cast<float>(static_cast<uint32_t>(b.bits) << 16); }

PRIM_BOTH bf16 to_bf16(float value) {
#if defined(__CUDA_ARCH__)
  bf16 b;
  asm("cvt.rn.bf16.f32 %0, %1;" : "=h"(b.bits) : "f"(value));
  return b;
#else
  const uint32_t bits = bit_cast<uint32_t>(value);
  if ((bits & 0x7fffffffu) > 0x7f800000u) return {0x7fffu};
  return {static_cast<uint16_t>((bits + 0x7fffu + ((bits >> 16) & 1u)) >> 16)};
#endif
}

// --- fp8: the same integer arithmetic on both sides (cvt exists from sm_89 on only) --------------

PRIM_BOTH float to_float(e4m3 e) {
  const uint32_t magnitude = e.bits & 0x7fu;
  const uint32_t sign = (e.bits & 0x80u) << 24;
  if (magnitude == 0x7fu) return bit_cast<float>(sign | 0x7fc00000u);
  // As for f16: biases 127 and 7 differ by 120.
  return bit_cast<float>(bit_cast<uint32_t>(bit_cast<float>(magnitude << 20) * 0x1p120f) | sign);
}

PRIM_BOTH float to_float(e5m2 e) { return to_float(f16{static_cast<uint16_t>(e.bits << 8)}); }

// Too large (also infinity) becomes the largest finite value, as cvt.rn.satfinite does.
PRIM_BOTH e4m3 to_e4m3(float value) {
  const uint32_t bits = bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 24) & 0x80u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {static_cast<uint8_t>(sign | 0x7fu)};
  if (magnitude >= 0x43e80000u) return {static_cast<uint8_t>(sign | 0x7eu)};      // >= 464
  if (magnitude < 0x3c800000u) {                 // < 2^-6: units of 2^-9
    const float scaled = bit_cast<float>(magnitude) + 0x1p14f;   // has a unit of 2^-9
    return {static_cast<uint8_t>(sign | (bit_cast<uint32_t>(scaled) - 0x46800000u))};
  }
  const uint32_t rounded = magnitude - 0x3c000000u + 0x7ffffu + ((magnitude >> 20) & 1u);
  return {static_cast<uint8_t>(sign | (rounded >> 20))};
}

PRIM_BOTH e5m2 to_e5m2(float value) {
  const uint32_t bits = bit_cast<uint32_t>(value);
  const uint32_t sign = (bits >> 24) & 0x80u;
  const uint32_t magnitude = bits & 0x7fffffffu;
  if (magnitude > 0x7f800000u) return {static_cast<uint8_t>(sign | 0x7fu)};
  if (magnitude >= 0x47700000u) return {static_cast<uint8_t>(sign | 0x7bu)};      // >= 61440
  if (magnitude < 0x38800000u) {                 // < 2^-14: units of 2^-16
    const float scaled = bit_cast<float>(magnitude) + 0x1p7f;    // has a unit of 2^-16
    return {static_cast<uint8_t>(sign | (bit_cast<uint32_t>(scaled) - 0x43000000u))};
  }
  const uint32_t rounded = magnitude - 0x38000000u + 0xfffffu + ((magnitude >> 21) & 1u);
  return {static_cast<uint8_t>(sign | (rounded >> 21))};
}

// --- generic -------------------------------------------------------------------------------------

PRIM_BOTH float to_float(float value) { return value; }

// from_float<T>(x): for kernels that are templates over their storage type.
template <class T>
PRIM_BOTH T from_float(float value);
template <>
PRIM_BOTH float from_float<float>(float value) { return value; }
template <>
PRIM_BOTH f16 from_float<f16>(float value) { return to_f16(value); }
template <>
PRIM_BOTH bf16 from_float<bf16>(float value) { return to_bf16(value); }
template <>
PRIM_BOTH e4m3 from_float<e4m3>(float value) { return to_e4m3(value); }
template <>
PRIM_BOTH e5m2 from_float<e5m2>(float value) { return to_e5m2(value); }

PRIM_BOTH uint32_t pack(f16 x, f16 y) { return x.bits | static_cast<uint32_t>(y.bits) << 16; }
PRIM_BOTH uint32_t pack(bf16 x, bf16 y) { return x.bits | static_cast<uint32_t>(y.bits) << 16; }

}  // namespace swarm::prim
