// engine/kernels/cuda/prim/ldmatrix.h — Loads 8 x 8 matrices of 16-bit elements from shared memory
// into the registers of a warp, in the layout of mma operands. All 32 lanes call it together.
//
// Source: PTX ISA, ldmatrix. Lane 8 * m + i gives the address of row i of matrix m: 16 bytes,
// 16-byte aligned, in shared memory. Addresses of lanes beyond the matrices are ignored. In
// register m, lane l receives elements [l / 4][l % 4 * 2 + {0, 1}] of matrix m; with _trans the
// elements [l % 4 * 2 + {0, 1}][l / 4]. It orders nothing: rows written by other lanes need a
// barrier before.
//
// mma operands of 16-bit elements, k = 16, from a row-major tile with rows along k: A is
// ldmatrix_x4 of the quadrants (rows 0-7, k 0-7), (8-15, 0-7), (0-7, 8-15), (8-15, 8-15). B stored
// as [n][k] is ldmatrix_x2 of k 0-7 and k 8-15; stored as [k][n] it is ldmatrix_x2_trans of rows k
// 0-7 and k 8-15. For bytes, read two of them as one element: A and B come out right for k = 32.
#pragma once

#include "engine/kernels/cuda/prim/warp.h"

namespace swarm::prim {
inline namespace SIMT_SIDE {

#if SIMT_DEVICE

namespace detail {
__device__ inline uint32_t shared_address(const void* pointer) {
  return static_cast<uint32_t>(__cvta_generic_to_shared(pointer));
}
}  // namespace detail

#else

namespace detail {

enum class Transposed : uint8_t { no, yes };

template <int count>
void load_matrices(uint32_t (&r)[count], const void* row, Transposed transposed, const char* what,
                   Where where) {
  const int lane = simt::lane();
  if (lane < 8 * count) simt::expect_shared(row, 16, 16, what, where);
  simt::LaneWords mine;
  const auto address = bit_cast<uint64_t>(row);
  mine.word[0] = static_cast<uint32_t>(address);
  mine.word[1] = static_cast<uint32_t>(address >> 32);
  const simt::LaneWords* all = simt::gather(mine, what, where);
  const auto load = [all](int matrix, int i, int k) {
    const simt::LaneWords& of = all[8 * matrix + i];
    const auto* at = bit_cast<const uint16_t*>(of.word[0] | uint64_t{of.word[1]} << 32);
    return uint32_t{at[k]};
  };
  for (int m = 0; m < count; ++m) {
    const int outer = lane / 4, inner = lane % 4 * 2;
    r[m] = transposed == Transposed::no
               ? load(m, outer, inner) | load(m, outer, inner + 1) << 16
               : load(m, inner, outer) | load(m, inner + 1, outer) << 16;
  }
}

}  // namespace detail

#endif

__device__ inline void ldmatrix_x1(uint32_t (&r)[1], const void* row,
                                   [[maybe_unused]] Where where = Where::here()) {
#if SIMT_DEVICE
  asm volatile("ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%0}, [%1];"
               : "=r"(r[0]) : "r"(detail::shared_address(row)) : "memory");
#else
  detail::load_matrices(r, row, detail::Transposed::no, "ldmatrix_x1", where);
#endif
}

__device__ inline void ldmatrix_x2(uint32_t (&r)[2], const void* row,
                                   [[maybe_unused]] Where where = Where::here()) {
#if SIMT_DEVICE
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%0,%1}, [%2];"
               : "=r"(r[0]), "=r"(r[1]) : "r"(detail::shared_address(row)) : "memory");
#else
  detail::load_matrices(r, row, detail::Transposed::no, "ldmatrix_x2", where);
#endif
}

__device__ inline void ldmatrix_x4(uint32_t (&r)[4], const void* row,
                                   [[maybe_unused]] Where where = Where::here()) {
#if SIMT_DEVICE
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(detail::shared_address(row)) : "memory");
#else
  detail::load_matrices(r, row, detail::Transposed::no, "ldmatrix_x4", where);
#endif
}

__device__ inline void ldmatrix_x1_trans(uint32_t (&r)[1], const void* row,
                                         [[maybe_unused]] Where where = Where::here()) {
#if SIMT_DEVICE
  asm volatile("ldmatrix.sync.aligned.m8n8.x1.trans.shared.b16 {%0}, [%1];"
               : "=r"(r[0]) : "r"(detail::shared_address(row)) : "memory");
#else
  detail::load_matrices(r, row, detail::Transposed::yes, "ldmatrix_x1_trans", where);
#endif
}

__device__ inline void ldmatrix_x2_trans(uint32_t (&r)[2], const void* row,
                                         [[maybe_unused]] Where where = Where::here()) {
#if SIMT_DEVICE
  asm volatile("ldmatrix.sync.aligned.m8n8.x2.trans.shared.b16 {%0,%1}, [%2];"
               : "=r"(r[0]), "=r"(r[1]) : "r"(detail::shared_address(row)) : "memory");
#else
  detail::load_matrices(r, row, detail::Transposed::yes, "ldmatrix_x2_trans", where);
#endif
}

__device__ inline void ldmatrix_x4_trans(uint32_t (&r)[4], const void* row,
                                         [[maybe_unused]] Where where = Where::here()) {
#if SIMT_DEVICE
  asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
               : "=r"(r[0]), "=r"(r[1]), "=r"(r[2]), "=r"(r[3])
               : "r"(detail::shared_address(row)) : "memory");
#else
  detail::load_matrices(r, row, detail::Transposed::yes, "ldmatrix_x4_trans", where);
#endif
}

}  // namespace SIMT_SIDE
}  // namespace swarm::prim
