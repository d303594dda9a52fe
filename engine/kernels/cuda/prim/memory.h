// engine/kernels/cuda/prim/memory.h — Wide and hinted accesses to global memory, reads of blocks
// that are only 1- or 2-byte aligned, and integer atomics. Wide accesses are aligned to their size;
// the emulator reports when they are not. There are no floating-point atomics: their result would
// depend on the order of threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/cuda/prim/types.h"
#include "engine/kernels/cuda/simt/simt.h"

namespace swarm::prim {

struct alignas(8) Words2 { uint32_t w[2]; };
struct alignas(16) Words4 { uint32_t w[4]; };

inline namespace SIMT_SIDE {

using simt::Where;

#if !SIMT_DEVICE
namespace detail {
inline void expect_aligned(const void* pointer, size_t bytes, const char* what, Where where) {
  if (bit_cast<uint64_t>(pointer) % bytes != 0) simt::fail(what, where);
}
}  // namespace detail
#endif

// Memory that no thread writes during the kernel, read more than once: kept in caches.
__device__ inline Words4 load_readonly(const Words4* from,
                                       [[maybe_unused]] Where where = Where::here()) {
#if SIMT_DEVICE
  Words4 v;
  asm("ld.global.nc.v4.u32 {%0,%1,%2,%3}, [%4];"
      : "=r"(v.w[0]), "=r"(v.w[1]), "=r"(v.w[2]), "=r"(v.w[3]) : "l"(from));
  return v;
#else
  detail::expect_aligned(from, 16, "load_readonly: misaligned", where);
  return *from;
#endif
}

__device__ inline Words2 load_readonly(const Words2* from,
                                       [[maybe_unused]] Where where = Where::here()) {
#if SIMT_DEVICE
  Words2 v;
  asm("ld.global.nc.v2.u32 {%0,%1}, [%2];" : "=r"(v.w[0]), "=r"(v.w[1]) : "l"(from));
  return v;
#else
  detail::expect_aligned(from, 8, "load_readonly: misaligned", where);
  return *from;
#endif
}

__device__ inline uint32_t load_readonly(const uint32_t* from,
                                         [[maybe_unused]] Where where = Where::here()) {
#if SIMT_DEVICE
  uint32_t v;
  asm("ld.global.nc.u32 %0, [%1];" : "=r"(v) : "l"(from));
  return v;
#else
  detail::expect_aligned(from, 4, "load_readonly: misaligned", where);
  return *from;
#endif
}

// As load_readonly, but read once (a weight matrix in decoding): leaves the first-level cache to
// others.
__device__ inline Words4 load_once(const Words4* from,
                                   [[maybe_unused]] Where where = Where::here()) {
#if SIMT_DEVICE
  Words4 v;
  asm("ld.global.nc.L1::no_allocate.v4.u32 {%0,%1,%2,%3}, [%4];"
      : "=r"(v.w[0]), "=r"(v.w[1]), "=r"(v.w[2]), "=r"(v.w[3]) : "l"(from));
  return v;
#else
  detail::expect_aligned(from, 16, "load_once: misaligned", where);
  return *from;
#endif
}

__device__ inline Words2 load_once(const Words2* from,
                                   [[maybe_unused]] Where where = Where::here()) {
#if SIMT_DEVICE
  Words2 v;
  asm("ld.global.nc.L1::no_allocate.v2.u32 {%0,%1}, [%2];"
      : "=r"(v.w[0]), "=r"(v.w[1]) : "l"(from));
  return v;
#else
  detail::expect_aligned(from, 8, "load_once: misaligned", where);
  return *from;
#endif
}

__device__ inline uint32_t load_once(const uint32_t* from,
                                     [[maybe_unused]] Where where = Where::here()) {
#if SIMT_DEVICE
  uint32_t v;
  asm("ld.global.nc.L1::no_allocate.u32 %0, [%1];" : "=r"(v) : "l"(from));
  return v;
#else
  detail::expect_aligned(from, 4, "load_once: misaligned", where);
  return *from;
#endif
}

// Four consecutive bytes in a register, wherever they lie / on an even address.
__device__ inline uint32_t load_bytes(const void* from) {
  const auto* at = static_cast<const uint8_t*>(from);
  return at[0] | static_cast<uint32_t>(at[1]) << 8 | static_cast<uint32_t>(at[2]) << 16 |
         static_cast<uint32_t>(at[3]) << 24;
}
__device__ inline uint32_t load_halves(const void* from,
                                       [[maybe_unused]] Where where = Where::here()) {
#if !SIMT_DEVICE
  detail::expect_aligned(from, 2, "load_halves: misaligned", where);
#endif
  const auto* at = static_cast<const uint16_t*>(from);
  return at[0] | static_cast<uint32_t>(at[1]) << 16;
}

// Atomics on T = int32_t, uint32_t or uint64_t in shared or global memory. They return the old
// value and order no other memory: see fence(). The returned values depend on the order of threads;
// a kernel must not let that reach its results.
template <class T>
__device__ inline T atomic_add(T* at, T value) {
#if SIMT_DEVICE
  if constexpr (sizeof(T) == 8)
    return static_cast<T>(atomicAdd(reinterpret_cast<unsigned long long*>(at),
                                    static_cast<unsigned long long>(value)));
  else
    return atomicAdd(at, value);
#else
  static_assert(!__is_same(T, float) && !__is_same(T, double));
  return __atomic_fetch_add(at, value, __ATOMIC_RELAXED);
#endif
}

template <class T>
__device__ inline T atomic_max(T* at, T value) {
#if SIMT_DEVICE
  if constexpr (sizeof(T) == 8)
    return static_cast<T>(atomicMax(reinterpret_cast<unsigned long long*>(at),
                                    static_cast<unsigned long long>(value)));
  else
    return atomicMax(at, value);
#else
  static_assert(!__is_same(T, float) && !__is_same(T, double) && !__is_same(T, int64_t));
  T old = __atomic_load_n(at, __ATOMIC_RELAXED);
  while (old < value &&
         !__atomic_compare_exchange_n(at, &old, value, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
  }
  return old;
#endif
}

// What this thread wrote before is seen, by every thread of the grid, before what it writes after.
// With an atomic counter: the last block of a grid reads what the others wrote.
__device__ inline void fence() {
#if SIMT_DEVICE
  __threadfence();
#else
  simt::fence();
#endif
}

}  // namespace SIMT_SIDE
}  // namespace swarm::prim
