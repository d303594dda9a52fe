// engine/kernels/cuda/prim/warp.h — Warp collectives. All 32 lanes of a warp call each of these at
// the same place: never in a branch that lanes may take differently, never after a lane has left
// the kernel. Values are of 1 to 8 bytes. Collectives do not order memory: between lanes that talk
// through memory use sync_warp().
//
// Reductions combine in a fixed tree, so every lane gets the same bits.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/prim/types.h"
#include "engine/kernels/cuda/simt/simt.h"

namespace swarm::prim {
inline namespace SIMT_SIDE {

using simt::Where;

inline constexpr uint32_t kAllLanes = 0xffffffffu;

#if SIMT_DEVICE
namespace detail {
// Calls a 32-bit shuffle for a value of any size up to 8 bytes.
template <class T, class Shuffle>
__device__ inline T by_words(T value, Shuffle shuffle) {
  static_assert(sizeof(T) <= 8);
  if constexpr (sizeof(T) == 8) {
    const auto bits = bit_cast<uint64_t>(value);
    const uint64_t low = shuffle(static_cast<uint32_t>(bits));
    const uint64_t high = shuffle(static_cast<uint32_t>(bits >> 32));
    return bit_cast<T>(low | high << 32);
  } else if constexpr (sizeof(T) == 4) {
    return bit_cast<T>(shuffle(bit_cast<uint32_t>(value)));
  } else if constexpr (sizeof(T) == 2) {
    return bit_cast<T>(static_cast<uint16_t>(shuffle(bit_cast<uint16_t>(value))));
  } else {
    return bit_cast<T>(static_cast<uint8_t>(shuffle(bit_cast<uint8_t>(value))));
  }
}
}  // namespace detail
#endif

// What lane `source` (modulo 32) holds.
template <class T>
__device__ inline T shuffle(T value, int source, Where where = Where::here()) {
#if SIMT_DEVICE
  static_cast<void>(where);
  return detail::by_words(value,
                          [=](uint32_t w) { return __shfl_sync(kAllLanes, w, source); });
#else
  return simt::exchange(value, source, "shuffle", where);
#endif
}

// What the lane whose index differs in `bits` holds.
template <class T>
__device__ inline T shuffle_xor(T value, int bits, Where where = Where::here()) {
#if SIMT_DEVICE
  static_cast<void>(where);
  return detail::by_words(value,
                          [=](uint32_t w) { return __shfl_xor_sync(kAllLanes, w, bits); });
#else
  return simt::exchange(value, simt::lane() ^ bits, "shuffle_xor", where);
#endif
}

// What the lane `delta` below holds; the lowest `delta` lanes keep their own.
template <class T>
__device__ inline T shuffle_up(T value, int delta, Where where = Where::here()) {
#if SIMT_DEVICE
  static_cast<void>(where);
  const auto by = static_cast<unsigned>(delta);
  return detail::by_words(value, [=](uint32_t w) { return __shfl_up_sync(kAllLanes, w, by); });
#else
  const int source = simt::lane() - delta;
  return simt::exchange(value, source < 0 ? simt::lane() : source, "shuffle_up", where);
#endif
}

// What the lane `delta` above holds; the highest `delta` lanes keep their own.
template <class T>
__device__ inline T shuffle_down(T value, int delta, Where where = Where::here()) {
#if SIMT_DEVICE
  static_cast<void>(where);
  const auto by = static_cast<unsigned>(delta);
  return detail::by_words(value, [=](uint32_t w) { return __shfl_down_sync(kAllLanes, w, by); });
#else
  const int source = simt::lane() + delta;
  return simt::exchange(value, source >= simt::kWarp ? simt::lane() : source, "shuffle_down",
                        where);
#endif
}

// Bit i is set if lane i says so.
__device__ inline uint32_t ballot(bool predicate, Where where = Where::here()) {
#if SIMT_DEVICE
  static_cast<void>(where);
  return __ballot_sync(kAllLanes, predicate);
#else
  simt::LaneWords mine;
  mine.word[0] = predicate ? 1 : 0;
  const simt::LaneWords* all = simt::gather(mine, "ballot", where);
  uint32_t bits = 0;
  for (int i = 0; i < simt::kWarp; ++i) bits |= all[i].word[0] << i;
  return bits;
#endif
}

__device__ inline bool any(bool predicate, Where where = Where::here()) {
  return ballot(predicate, where) != 0;
}
__device__ inline bool all(bool predicate, Where where = Where::here()) {
  return ballot(predicate, where) == kAllLanes;
}

// What lanes of the warp wrote to memory before is seen by all of them after.
__device__ inline void sync_warp(Where where = Where::here()) {
#if SIMT_DEVICE
  static_cast<void>(where);
  __syncwarp();
#else
  simt::sync_warp(where);
#endif
}

// --- reductions: valid in every lane -------------------------------------------------------------

namespace detail {

// Combines groups of `lanes` neighbours by shuffle_xor with lanes / 2, ..., 2, 1. The host does the
// same combinations in the same order after a single exchange, because an exchange is what costs
// time in the emulator.
template <int lanes, class T, class Combine>
__device__ inline T butterfly(T value, Combine combine, [[maybe_unused]] const char* what,
                              [[maybe_unused]] Where where) {
  static_assert(lanes > 0 && lanes <= simt::kWarp && (lanes & (lanes - 1)) == 0);
#if SIMT_DEVICE
#pragma unroll
  for (int bits = lanes / 2; bits > 0; bits /= 2)
    value = combine(value, shuffle_xor(value, bits, where));
  return value;
#else
  T values[lanes];
  simt::exchange_all(value, simt::lane() / lanes * lanes, values, what, where);
  for (int bits = lanes / 2; bits > 0; bits /= 2)
    for (int i = 0; i < bits; ++i) values[i] = combine(values[i], values[i + bits]);
  return values[0];
#endif
}

}  // namespace detail

// Over groups of `lanes` neighbours (a power of two).
template <int lanes = simt::kWarp, class T>
__device__ inline T warp_sum(T value, Where where = Where::here()) {
  return detail::butterfly<lanes>(value, [](T a, T b) { return a + b; }, "warp_sum", where);
}

// The larger of two; a NaN loses against a number, as max.f32 has it.
__device__ inline float max(float a, float b) {
#if SIMT_DEVICE
  return fmaxf(a, b);
#else
  if (a != a) return b;
  if (b != b) return a;
  if (a == 0.0f && b == 0.0f) return bit_cast<uint32_t>(a) == 0 ? a : b;   // +0 above -0
  return a > b ? a : b;
#endif
}
__device__ inline float min(float a, float b) { return -max(-a, -b); }
__device__ inline int32_t max(int32_t a, int32_t b) { return a > b ? a : b; }
__device__ inline int32_t min(int32_t a, int32_t b) { return a < b ? a : b; }
__device__ inline int64_t max(int64_t a, int64_t b) { return a > b ? a : b; }
__device__ inline int64_t min(int64_t a, int64_t b) { return a < b ? a : b; }
__device__ inline uint32_t max(uint32_t a, uint32_t b) { return a > b ? a : b; }
__device__ inline uint32_t min(uint32_t a, uint32_t b) { return a < b ? a : b; }
__device__ inline uint64_t max(uint64_t a, uint64_t b) { return a > b ? a : b; }
__device__ inline uint64_t min(uint64_t a, uint64_t b) { return a < b ? a : b; }

template <int lanes = simt::kWarp, class T>
__device__ inline T warp_max(T value, Where where = Where::here()) {
  return detail::butterfly<lanes>(value, [](T a, T b) { return max(a, b); }, "warp_max", where);
}
template <int lanes = simt::kWarp, class T>
__device__ inline T warp_min(T value, Where where = Where::here()) {
  return detail::butterfly<lanes>(value, [](T a, T b) { return min(a, b); }, "warp_min", where);
}

// Sum of this and all lower lanes.
template <class T>
__device__ inline T warp_inclusive_sum(T value, Where where = Where::here()) {
#if SIMT_DEVICE
#pragma unroll
  for (int delta = 1; delta < simt::kWarp; delta *= 2) {
    const T below = shuffle_up(value, delta, where);
    if (simt::lane() >= delta) value += below;
  }
  return value;
#else
  T values[simt::kWarp];               // the same additions after one exchange
  simt::exchange_all(value, 0, values, "warp_inclusive_sum", where);
  for (int delta = 1; delta < simt::kWarp; delta *= 2)
    for (int i = simt::lane(); i >= delta; --i) values[i] += values[i - delta];
  return values[simt::lane()];
#endif
}

}  // namespace SIMT_SIDE
}  // namespace swarm::prim
