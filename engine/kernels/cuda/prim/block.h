// engine/kernels/cuda/prim/block.h — Block-wide sums, maxima and scans. Every thread of the block
// calls them; the result is valid in every thread and has the same bits in all of them, and does
// not depend on the order in which threads run. `scratch` is shared memory for simt::kMaxWarps
// values, free again at the return: each call contains its barriers, also the last one.
#pragma once

#include "engine/kernels/cuda/prim/warp.h"

namespace swarm::prim {
inline namespace SIMT_SIDE {

namespace detail {

__device__ inline int warp_count() { return static_cast<int>(blockDim.x) / simt::kWarp; }

// Lane i gets the value of warp i; `neutral` above the last warp.
template <class T>
__device__ inline T collect(T warp_value, T neutral, T* scratch, Where where) {
  if (simt::lane() == 0) scratch[simt::warp()] = warp_value;
  simt::sync_threads(where);
  const T value = simt::lane() < warp_count() ? scratch[simt::lane()] : neutral;
  simt::sync_threads(where);
  return value;
}

}  // namespace detail

template <class T>
__device__ inline T block_sum(T value, T* scratch, Where where = Where::here()) {
  const T mine = warp_sum(value, where);
  return warp_sum(detail::collect(mine, T{}, scratch, where), where);
}

template <class T>
__device__ inline T block_max(T value, T* scratch, Where where = Where::here()) {
  const T mine = warp_max(value, where);
  return warp_max(detail::collect(mine, mine, scratch, where), where);
}

template <class T>
__device__ inline T block_min(T value, T* scratch, Where where = Where::here()) {
  const T mine = warp_min(value, where);
  return warp_min(detail::collect(mine, mine, scratch, where), where);
}

// Integers: sum of all lower threads. `total`, if asked for (by all or none), is the sum of all.
template <class T>
__device__ inline T block_exclusive_sum(T value, T* scratch, T* total = nullptr,
                                        Where where = Where::here()) {
  static_assert(T(1) / T(2) == T(0));
  const T inclusive = warp_inclusive_sum(value, where);
  const T warp_total = shuffle(inclusive, simt::kWarp - 1, where);
  const T warps = warp_inclusive_sum(detail::collect(warp_total, T{}, scratch, where), where);
  const T below = shuffle(warps, simt::warp() - 1, where);
  if (total != nullptr) *total = shuffle(warps, simt::kWarp - 1, where);
  return (simt::warp() == 0 ? T{} : below) + (inclusive - value);
}

}  // namespace SIMT_SIDE
}  // namespace swarm::prim
