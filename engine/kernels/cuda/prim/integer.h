// engine/kernels/cuda/prim/integer.h — Integer instructions and arithmetic of kernels: dot products
// of packed bytes, byte permutations, bit counts, and the roundings that launch code needs too.
// Exact on every side. "Packed bytes" are four in a register, the first in the lowest bits.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/prim/types.h"
#include "engine/kernels/cuda/simt/simt.h"

namespace swarm::prim {

// Host and device. a >= 0, b > 0.
template <class T>
PRIM_BOTH constexpr T ceil_div(T a, T b) { return (a + b - 1) / b; }
template <class T>
PRIM_BOTH constexpr T round_up(T a, T b) { return ceil_div(a, b) * b; }

inline namespace SIMT_SIDE {

#if !SIMT_DEVICE
namespace detail {
inline uint32_t byte(uint32_t word, int i) { return (word >> (8 * i)) & 0xffu; }
inline int32_t signed_byte(uint32_t word, int i) { return static_cast<int8_t>(byte(word, i)); }
inline int32_t wrapping_sum(int32_t a, int32_t b) {
  return static_cast<int32_t>(static_cast<uint32_t>(a) + static_cast<uint32_t>(b));
}
}  // namespace detail
#endif

// c + the dot product of four signed bytes with four signed bytes.
__device__ inline int32_t dp4a(uint32_t a, uint32_t b, int32_t c) {
#if SIMT_DEVICE
  return __dp4a(static_cast<int>(a), static_cast<int>(b), c);
#else
  for (int i = 0; i < 4; ++i)
    c = detail::wrapping_sum(c, detail::signed_byte(a, i) * detail::signed_byte(b, i));
  return c;
#endif
}

// c + the dot product of four unsigned bytes (a) with four signed bytes (b).
__device__ inline int32_t dp4a_unsigned(uint32_t a, uint32_t b, int32_t c) {
#if SIMT_DEVICE
  int32_t d;
  asm("dp4a.u32.s32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(c));
  return d;
#else
  for (int i = 0; i < 4; ++i)
    c = detail::wrapping_sum(c, static_cast<int32_t>(detail::byte(a, i)) *
                                    detail::signed_byte(b, i));
  return c;
#endif
}

// Byte i of the result is chosen by bits 4i to 4i+3 of `selector`: the low three are an index into
// the bytes of a (0 to 3) and b (4 to 7); the fourth asks for eight copies of its sign bit instead.
__device__ inline uint32_t byte_permute(uint32_t a, uint32_t b, uint32_t selector) {
#if SIMT_DEVICE
  uint32_t d;
  asm("prmt.b32 %0, %1, %2, %3;" : "=r"(d) : "r"(a), "r"(b), "r"(selector));
  return d;
#else
  const uint64_t bytes = a | uint64_t{b} << 32;
  uint32_t d = 0;
  for (int i = 0; i < 4; ++i) {
    const uint32_t choice = selector >> (4 * i);
    auto byte = static_cast<uint32_t>(bytes >> (8 * (choice & 7u))) & 0xffu;
    if ((choice & 8u) != 0) byte = (byte & 0x80u) != 0 ? 0xffu : 0u;
    d |= byte << (8 * i);
  }
  return d;
#endif
}

// Packed bytes, each wrapping around.
__device__ inline uint32_t subtract_bytes(uint32_t a, uint32_t b) {
#if SIMT_DEVICE
  return __vsub4(a, b);
#else
  uint32_t d = 0;
  for (int i = 0; i < 4; ++i)
    d |= ((detail::byte(a, i) - detail::byte(b, i)) & 0xffu) << (8 * i);
  return d;
#endif
}

__device__ inline uint32_t add_bytes(uint32_t a, uint32_t b) {
#if SIMT_DEVICE
  return __vadd4(a, b);
#else
  uint32_t d = 0;
  for (int i = 0; i < 4; ++i)
    d |= ((detail::byte(a, i) + detail::byte(b, i)) & 0xffu) << (8 * i);
  return d;
#endif
}

// 0xff in each byte where a and b differ, 0 elsewhere.
__device__ inline uint32_t differing_bytes(uint32_t a, uint32_t b) {
#if SIMT_DEVICE
  return __vcmpne4(a, b);
#else
  uint32_t d = 0;
  for (int i = 0; i < 4; ++i)
    if (detail::byte(a, i) != detail::byte(b, i)) d |= 0xffu << (8 * i);
  return d;
#endif
}

__device__ inline int popcount(uint32_t a) {
#if SIMT_DEVICE
  return __popc(a);
#else
  return __builtin_popcount(a);
#endif
}

// 32 for 0.
__device__ inline int leading_zeros(uint32_t a) {
#if SIMT_DEVICE
  return __clz(static_cast<int>(a));
#else
  return a == 0 ? 32 : __builtin_clz(a);
#endif
}

// Index of the lowest bit that is set; -1 for 0.
__device__ inline int lowest_bit(uint32_t a) {
#if SIMT_DEVICE
  return __ffs(static_cast<int>(a)) - 1;
#else
  return __builtin_ffs(static_cast<int>(a)) - 1;
#endif
}

// Bits 0 to 31 of (high:low) >> (shift % 32).
__device__ inline uint32_t funnel_shift_right(uint32_t low, uint32_t high, uint32_t shift) {
#if SIMT_DEVICE
  return __funnelshift_r(low, high, shift);
#else
  return static_cast<uint32_t>((low | uint64_t{high} << 32) >> (shift & 31u));
#endif
}

}  // namespace SIMT_SIDE
}  // namespace swarm::prim
