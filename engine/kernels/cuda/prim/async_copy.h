// engine/kernels/cuda/prim/async_copy.h — Copies from global to shared memory that overlap with
// work (cp.async). A thread issues copies, closes them into a group with copy_async_commit(), and
// before reading calls copy_async_wait<n>(): all groups of this thread except the latest n are then
// complete. The wait concerns the calling thread's own copies; for other threads' copies a barrier
// follows.
//
// The emulator copies at the wait and fills the destination with NaN at the issue: who forgets the
// wait, or waits for too few groups, computes with NaN.
#pragma once

#include <cstddef>

#include "engine/kernels/cuda/prim/types.h"
#include "engine/kernels/cuda/simt/simt.h"

namespace swarm::prim {
inline namespace SIMT_SIDE {

using simt::Where;

// bytes is 4, 8 or 16; both addresses are aligned to it. When not `valid`, zeros are written and
// `from` is not read. 16-byte copies go past the first-level cache.
template <int bytes>
__device__ inline void copy_async(void* to, const void* from, bool valid = true,
                                  [[maybe_unused]] Where where = Where::here()) {
  static_assert(bytes == 4 || bytes == 8 || bytes == 16);
#if SIMT_DEVICE
  const auto address = static_cast<uint32_t>(__cvta_generic_to_shared(to));
  const int read = valid ? bytes : 0;
  if constexpr (bytes == 16)
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;"
                 :: "r"(address), "l"(from), "r"(read) : "memory");
  else
    asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;"
                 :: "r"(address), "l"(from), "n"(bytes), "r"(read) : "memory");
#else
  simt::expect_shared(to, bytes, bytes, "copy_async", where);
  if (bit_cast<uint64_t>(from) % bytes != 0) simt::fail("copy_async: misaligned source", where);
  std::memset(to, simt::kPoison, bytes);
  simt::async_push({to, from, bytes, valid ? bytes : 0});
#endif
}

__device__ inline void copy_async_commit() {
#if SIMT_DEVICE
  asm volatile("cp.async.commit_group;" ::: "memory");
#else
  simt::async_commit();
#endif
}

#if !SIMT_DEVICE
namespace detail {
inline void finish_copies(int groups_left) {
  for (simt::AsyncCopy copy; simt::async_pop(groups_left, copy);) {
    std::memset(copy.to, 0, static_cast<size_t>(copy.bytes));
    std::memcpy(copy.to, copy.from, static_cast<size_t>(copy.valid));
  }
}
}  // namespace detail
#endif

// At most `groups` committed groups may still be under way at the return.
template <int groups>
__device__ inline void copy_async_wait() {
#if SIMT_DEVICE
  asm volatile("cp.async.wait_group %0;" :: "n"(groups) : "memory");
#else
  detail::finish_copies(groups);
#endif
}

// Everything issued so far, committed or not, is complete at the return.
__device__ inline void copy_async_wait_all() {
#if SIMT_DEVICE
  asm volatile("cp.async.wait_all;" ::: "memory");
#else
  detail::finish_copies(-1);
#endif
}

}  // namespace SIMT_SIDE
}  // namespace swarm::prim
