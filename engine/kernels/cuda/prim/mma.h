// engine/kernels/cuda/prim/mma.h — Tensor core products and the loads that feed them, one
// instruction per function. All 32 lanes of a warp call each of them together.
//
// Source: PTX ISA, "Warp-level matrix instructions". With group = lane / 4 and quad = lane % 4, and
// e = 32 / (bits of an element) elements per register:
//   A [16 x k], row-major:   register r, element i: row = group + 8 * (r % 2),
//                            column = 4 * e * (r / 2) + e * quad + i
//   B [k x 8], column-major: register r, element i: row = 4 * e * r + e * quad + i, column = group
//   C and D [16 x 8], 32-bit: value i: row = group + 8 * (i / 2), column = 2 * quad + i % 2
// Element 0 is in the lowest bits. The host adds in f32 in ascending k; a tensor core keeps the sum
// of one instruction in a wider format of its own, so results agree within its rounding only, and
// in every bit where the sums are exact.
#pragma once

#include "engine/kernels/cuda/prim/warp.h"

namespace swarm::prim {
inline namespace SIMT_SIDE {

// Where value i (0 to 3) of this lane's accumulator lies in D.
__device__ inline int mma_row(int i) { return simt::lane() / 4 + 8 * (i / 2); }
__device__ inline int mma_column(int i) { return simt::lane() % 4 * 2 + i % 2; }

#if !SIMT_DEVICE
namespace detail {

inline float element(uint32_t word, int i, f16) {
  return to_float(f16{static_cast<uint16_t>(word >> (16 * i))});
}
inline float element(uint32_t word, int i, bf16) {
  return to_float(bf16{static_cast<uint16_t>(word >> (16 * i))});
}
inline int32_t element(uint32_t word, int i, int8_t) {
  return static_cast<int8_t>(word >> (8 * i));
}

// acc += A B. Each lane publishes its registers and computes the four values that it owns.
template <class T, int k, class Acc, int a_words, int b_words>
void multiply_add(Acc (&acc)[4], const uint32_t (&a)[a_words], const uint32_t (&b)[b_words],
                  const char* what, Where where) {
  constexpr int e = 4 / sizeof(T);               // elements per register
  static_assert(a_words == k / (4 * e) * 2 && b_words == k / (4 * e));
  simt::LaneWords mine;
  for (int r = 0; r < a_words; ++r) mine.word[r] = a[r];
  for (int r = 0; r < b_words; ++r) mine.word[4 + r] = b[r];
  const simt::LaneWords* all = simt::gather(mine, what, where);
  Acc rows[2][k], columns[2][k];                 // of A and of B
  for (int i = 0; i < 2; ++i)
    for (int at = 0; at < k; ++at) {
      const int quad = at % (4 * e) / e, block = at / (4 * e);
      const simt::LaneWords& of_a = all[simt::lane() / 4 * 4 + quad];
      const simt::LaneWords& of_b = all[(simt::lane() % 4 * 2 + i) * 4 + quad];
      rows[i][at] = element(of_a.word[2 * block + i], at % e, T{});
      columns[i][at] = element(of_b.word[4 + block], at % e, T{});
    }
  for (int i = 0; i < 4; ++i)
    for (int at = 0; at < k; ++at) acc[i] += rows[i / 2][at] * columns[i % 2][at];
}

}  // namespace detail
#endif

// acc += A B, [16 x 16] [16 x 8], T is f16 or bf16.
template <class T>
__device__ inline void mma_m16n8k16(float (&acc)[4], const uint32_t (&a)[4],
                                    const uint32_t (&b)[2], Where where = Where::here());

template <>
__device__ inline void mma_m16n8k16<f16>(float (&acc)[4], const uint32_t (&a)[4],
                                         const uint32_t (&b)[2], [[maybe_unused]] Where where) {
#if SIMT_DEVICE
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
               "{%8,%9}, {%0,%1,%2,%3};"
               : "+f"(acc[0]), "+f"(acc[1]), "+f"(acc[2]), "+f"(acc[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  detail::multiply_add<f16, 16>(acc, a, b, "mma_m16n8k16<f16>", where);
#endif
}

template <>
__device__ inline void mma_m16n8k16<bf16>(float (&acc)[4], const uint32_t (&a)[4],
                                          const uint32_t (&b)[2], [[maybe_unused]] Where where) {
#if SIMT_DEVICE
  asm volatile("mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, "
               "{%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
               : "+f"(acc[0]), "+f"(acc[1]), "+f"(acc[2]), "+f"(acc[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  detail::multiply_add<bf16, 16>(acc, a, b, "mma_m16n8k16<bf16>", where);
#endif
}

// acc += A B, [16 x 8] [8 x 8], T is f16 or bf16.
template <class T>
__device__ inline void mma_m16n8k8(float (&acc)[4], const uint32_t (&a)[2],
                                   const uint32_t (&b)[1], Where where = Where::here());

template <>
__device__ inline void mma_m16n8k8<f16>(float (&acc)[4], const uint32_t (&a)[2],
                                        const uint32_t (&b)[1], [[maybe_unused]] Where where) {
#if SIMT_DEVICE
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
               "{%0,%1,%2,%3};"
               : "+f"(acc[0]), "+f"(acc[1]), "+f"(acc[2]), "+f"(acc[3])
               : "r"(a[0]), "r"(a[1]), "r"(b[0]));
#else
  detail::multiply_add<f16, 8>(acc, a, b, "mma_m16n8k8<f16>", where);
#endif
}

template <>
__device__ inline void mma_m16n8k8<bf16>(float (&acc)[4], const uint32_t (&a)[2],
                                         const uint32_t (&b)[1], [[maybe_unused]] Where where) {
#if SIMT_DEVICE
  asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
               "{%0,%1,%2,%3};"
               : "+f"(acc[0]), "+f"(acc[1]), "+f"(acc[2]), "+f"(acc[3])
               : "r"(a[0]), "r"(a[1]), "r"(b[0]));
#else
  detail::multiply_add<bf16, 8>(acc, a, b, "mma_m16n8k8<bf16>", where);
#endif
}

// acc += A B over signed bytes, exact: [16 x 32] [32 x 8].
__device__ inline void mma_m16n8k32_s8(int32_t (&acc)[4], const uint32_t (&a)[4],
                                       const uint32_t (&b)[2],
                                       [[maybe_unused]] Where where = Where::here()) {
#if SIMT_DEVICE
  asm volatile("mma.sync.aligned.m16n8k32.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, "
               "{%8,%9}, {%0,%1,%2,%3};"
               : "+r"(acc[0]), "+r"(acc[1]), "+r"(acc[2]), "+r"(acc[3])
               : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
#else
  detail::multiply_add<int8_t, 32>(acc, a, b, "mma_m16n8k32_s8", where);
#endif
}

// The same over [16 x 16] [16 x 8]: for blocks with a scale per 16 elements.
__device__ inline void mma_m16n8k16_s8(int32_t (&acc)[4], const uint32_t (&a)[2],
                                       const uint32_t (&b)[1],
                                       [[maybe_unused]] Where where = Where::here()) {
#if SIMT_DEVICE
  asm volatile("mma.sync.aligned.m16n8k16.row.col.s32.s8.s8.s32 {%0,%1,%2,%3}, {%4,%5}, {%6}, "
               "{%0,%1,%2,%3};"
               : "+r"(acc[0]), "+r"(acc[1]), "+r"(acc[2]), "+r"(acc[3])
               : "r"(a[0]), "r"(a[1]), "r"(b[0]));
#else
  detail::multiply_add<int8_t, 16>(acc, a, b, "mma_m16n8k16_s8", where);
#endif
}

}  // namespace SIMT_SIDE
}  // namespace swarm::prim
