// engine/kernels/cuda/matmul/gemm_integer.h — Many rows of activations times integer weights on
// tensor cores: the kernel template behind matmul, instantiated by weights_*.cu. Device code.
//
// Per stage of 64 columns: thread l decodes line l (two groups, loaded one stage ahead) into int8
// codes and f32 scales in shared memory, two buffers; the codes of x come by asynchronous copies,
// two stages ahead, three buffers; one barrier. Each group is one mma with k = 32 (two with k = 16
// where scales are per 16), exact in integers, then scaled and added in f32 in ascending groups.
// The integer sums start at 1.5 * 2^23, so that their bits are those of a float and a subtraction
// converts them: conversion instructions are four times slower.
// Bytes: weights once per kTokens rows, x once per 128 lines (from L2). The f32 work after each mma
// (3 to 5 instructions per value) bounds it at about a third of the int8 peak.
// Sums do not depend on kTokens or on the place of a row in its tile.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/matmul/gemm_tile.h"
#include "engine/kernels/cuda/prim/async_copy.h"
#include "engine/kernels/cuda/weights/weight_codec.h"

namespace swarm::engine::kernels::cuda {
inline namespace SIMT_SIDE {

inline constexpr int kGroups = 2;      // per stage
inline constexpr int kXBuffers = 3;

template <class C, int kTokens>
struct GemmIntegerSmem {
  static constexpr int kScales = C::kHalves ? 2 : 1;
  static constexpr int kMins = C::kMin ? kScales : 1;    // 1: not used
  TileLine w[2][kGemmLines];
  TileLine x[kXBuffers][kTokens];
  float scale[2][kGroups][kScales][kGemmLines];
  float minus_min[2][kGroups][kMins][C::kMin ? kGemmLines : 1];
  float x_scale[kXBuffers][kTokens][kGroups];
  uint32_t x_sums[kXBuffers][C::kMin ? kTokens : 1][kGroups];
  int32_t x_row[kTokens];              // kept here, as the next: registers are scarce
  RowTile tile;
};

namespace detail {

inline constexpr int32_t kIntegerOne = 0x4b400000;       // 1.5 * 2^23 as bits
inline constexpr float kIntegerZero = 12582912.0f;       // 1.5 * 2^23

// One decoded group of a line to shared memory.
template <class C, int kTokens>
__device__ inline void put_group(GemmIntegerSmem<C, kTokens>& smem, int buffer, int line, int k,
                                 const Group& w) {
  TileLine& to = smem.w[buffer][line];
  to.chunk[tile_chunk(line, 2 * k)] = {{w.codes[0], w.codes[1], w.codes[2], w.codes[3]}};
  to.chunk[tile_chunk(line, 2 * k + 1)] = {{w.codes[4], w.codes[5], w.codes[6], w.codes[7]}};
#pragma unroll
  for (int h = 0; h < (C::kHalves ? 2 : 1); ++h) {
    smem.scale[buffer][k][h][line] = w.scale[h];
    if constexpr (C::kMin) smem.minus_min[buffer][k][h][line] = -w.min[h];
  }
}

// Copies of one stage of x: codes in 16-byte chunks, scales and sums 8 bytes per row.
template <class C, int kTokens>
__device__ inline void copy_x(const MatmulArgs& p, GemmIntegerSmem<C, kTokens>& smem, int stage) {
  const int thread = static_cast<int>(threadIdx.x);
  const int buffer = stage % kXBuffers;
  const int64_t padded = p.quantised.padded;
#pragma unroll
  for (int first = 0; first < kTokens * 4; first += kGemmThreads) {
    const int token = (first + thread) / 4, chunk = thread % 4;
    if (token < kTokens)
      prim::copy_async<16>(&smem.x[buffer][token].chunk[tile_chunk(token, chunk)],
                           p.quantised.codes + smem.x_row[token] * padded + 64 * stage +
                               16 * chunk);
  }
  constexpr int kHalf = kGemmThreads / 2;
  const int token = thread % kHalf;
  if (token >= kTokens) return;
  const int64_t at = smem.x_row[token] * (padded / 32) + kGroups * stage;
  if (thread < kHalf)
    prim::copy_async<8>(smem.x_scale[buffer][token], p.quantised.scales + at);
  else if (C::kMin)
    prim::copy_async<8>(smem.x_sums[buffer][C::kMin ? token : 0], p.quantised.sums + at);
}

// Scales and minima of the lines of this lane's values, for one group.
template <class C>
struct LineScales {
  float scale[2][2][2];                // fragment, upper rows, half
  float minus_min[2][2][2];
};

template <class C, int kTokens>
__device__ inline void load_scales(const GemmIntegerSmem<C, kTokens>& smem, int buffer, int k,
                                   LineScales<C>& to) {
#pragma unroll
  for (int m = 0; m < 2; ++m)
#pragma unroll
    for (int up = 0; up < 2; ++up)
#pragma unroll
      for (int h = 0; h < (C::kHalves ? 2 : 1); ++h) {
        const int line = simt::warp() * 32 + 16 * m + 8 * up + simt::lane() / 4;
        to.scale[m][up][h] = smem.scale[buffer][k][h][line];
        if constexpr (C::kMin) to.minus_min[m][up][h] = smem.minus_min[buffer][k][h][line];
      }
}

__device__ inline float integer_value(int32_t sum) {
  return prim::add(prim::bit_cast<float>(sum), -kIntegerZero);
}

// Products of one group: 16 lines (fragment m) times 8 rows of x, added to acc.
template <class C>
__device__ inline void group_tile(const uint32_t (&a)[4], uint32_t b0, uint32_t b1,
                                  const LineScales<C>& lines, int m, const float (&x_scale)[2],
                                  const float (&x_sum)[2][2], float (&acc)[4]) {
  int32_t first[4] = {kIntegerOne, kIntegerOne, kIntegerOne, kIntegerOne};
  int32_t second[4] = {kIntegerOne, kIntegerOne, kIntegerOne, kIntegerOne};
  if constexpr (C::kHalves) {
    prim::mma_m16n8k16_s8(first, {a[0], a[1]}, {b0});
    prim::mma_m16n8k16_s8(second, {a[2], a[3]}, {b1});
  } else {
    prim::mma_m16n8k32_s8(first, a, {b0, b1});
  }
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const int up = i / 2, token = i % 2;
    float part = prim::multiply(lines.scale[m][up][0], integer_value(first[i]));
    if constexpr (C::kHalves)
      part = prim::fma(lines.scale[m][up][1], integer_value(second[i]), part);
    if constexpr (C::kMin) {
      part = prim::fma(lines.minus_min[m][up][0], x_sum[token][0], part);
      if constexpr (C::kHalves)
        part = prim::fma(lines.minus_min[m][up][1], x_sum[token][1], part);
    }
    acc[i] = prim::fma(x_scale[token], part, acc[i]);
  }
}

// acc += the products of one group (k of the stage) for all rows of x.
template <class C, int kTokens>
__device__ inline void group_products(const GemmIntegerSmem<C, kTokens>& smem, int w_buffer,
                                      int x_buffer, int k, float (&acc)[2][kTokens / 8][4]) {
  uint32_t a[2][4];
  LineScales<C> lines;
#pragma unroll
  for (int m = 0; m < 2; ++m) load_a(a[m], smem.w[w_buffer], simt::warp() * 32 + 16 * m, k);
  load_scales<C, kTokens>(smem, w_buffer, k, lines);
#pragma unroll
  for (int n = 0; n < kTokens / 8; n += 2) {
    uint32_t b[4];
    load_b(b, smem.x[x_buffer], 8 * n, k);
#pragma unroll
    for (int j = 0; j < 2; ++j) {
      float x_scale[2], x_sum[2][2] = {};
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const int token = 8 * (n + j) + prim::mma_column(i);
        x_scale[i] = smem.x_scale[x_buffer][token][k];
        if constexpr (C::kMin) {
          const uint32_t sums = smem.x_sums[x_buffer][token][k];
          const auto low = static_cast<int32_t>(static_cast<int16_t>(sums & 0xffffu));
          const auto high = static_cast<int32_t>(sums) >> 16;
          x_sum[i][0] = static_cast<float>(C::kHalves ? low : low + high);
          x_sum[i][1] = static_cast<float>(high);
        }
      }
#pragma unroll
      for (int m = 0; m < 2; ++m)
        group_tile<C>(a[m], b[2 * j], b[2 * j + 1], lines, m, x_scale, x_sum, acc[m][n + j]);
    }
  }
}

// What the registers allow without spills.
template <WeightType type, int kTokens>
constexpr int blocks_per_sm() {
  if (kTokens == kGemmFew) return 4;
  return Codec<type>::kHalves ? 2 : 3;
}

}  // namespace detail

// Grid: x = blocks of lines * tiles, the tile fastest: blocks that run together share weights.
template <WeightType type, int kTokens>
__global__ void __launch_bounds__(kGemmThreads, detail::blocks_per_sm<type, kTokens>())
gemm_integer_kernel(MatmulArgs p, int tiles) {
  using C = Codec<type>;
  auto& smem = simt::shared<GemmIntegerSmem<C, kTokens>>();
  const int block = static_cast<int>(blockIdx.x / static_cast<unsigned>(tiles));
  const RowTile tile =
      gemm_rows<kTokens>(p, static_cast<int>(blockIdx.x % static_cast<unsigned>(tiles)));
  if (tile.count <= 0) return;         // the whole block

  const int line = static_cast<int>(threadIdx.x);
  if (line == 0) smem.tile = tile;
  if (line < kTokens)
    smem.x_row[line] = static_cast<int32_t>(
        x_row(p, tile.first + prim::min(line, tile.count - 1)));
  const int groups = p.weight.cols / 32;
  const int stages = p.quantised.padded / (32 * kGroups);
  const uint8_t* weights = line_weights(p, tile.expert, block, line,
                                        placed_row_bytes(type, p.weight.cols));
  // Beyond the last group x is zero, so that any weights do.
  const auto load = [&](int stage, int k) {
    return C::load(weights, prim::min(stage * kGroups + k, groups - 1), groups);
  };
  simt::sync_threads();
#pragma unroll
  for (int s = 0; s < kXBuffers - 1; ++s) {
    if (s < stages) detail::copy_x<C, kTokens>(p, smem, s);
    prim::copy_async_commit();
  }
  typename C::Raw raw[kGroups];
#pragma unroll
  for (int k = 0; k < kGroups; ++k) raw[k] = load(0, k);
  float acc[2][kTokens / 8][4] = {};
#pragma unroll 1
  for (int stage = 0; stage < stages; ++stage) {
#pragma unroll
    for (int k = 0; k < kGroups; ++k) {
      Group w;
      C::decode(raw[k], prim::min(stage * kGroups + k, groups - 1), w);
      detail::put_group<C, kTokens>(smem, stage % 2, line, k, w);
    }
    if (stage + 1 < stages) {
#pragma unroll
      for (int k = 0; k < kGroups; ++k) raw[k] = load(stage + 1, k);
    }
    // One barrier serves both: x of this stage has come, and everybody is done with the buffers of
    // the stage before, which the next copies (now) and the next weights (next turn) overwrite.
    prim::copy_async_wait<kXBuffers - 2>();
    simt::sync_threads();
    if (stage + kXBuffers - 1 < stages)
      detail::copy_x<C, kTokens>(p, smem, stage + kXBuffers - 1);
    prim::copy_async_commit();
#pragma unroll 1                       // unrolled, both groups would be in registers
    for (int k = 0; k < kGroups; ++k)
      detail::group_products<C, kTokens>(smem, stage % 2, stage % kXBuffers, k, acc);
  }
  store_tile<kTokens>(p, smem.tile,
                      static_cast<int>(blockIdx.x / static_cast<unsigned>(tiles)), acc);
}

template <WeightType type>
simt::Status launch_gemm_integer(simt::Stream stream, const MatmulArgs& args) {
  using C = Codec<type>;
  return takes_few(args) ? launch_tiles<GemmIntegerSmem<C, kGemmFew>, kGemmFew>(
                               stream, args, gemm_integer_kernel<type, kGemmFew>)
                         : launch_tiles<GemmIntegerSmem<C, kGemmMany>, kGemmMany>(
                               stream, args, gemm_integer_kernel<type, kGemmMany>);
}

}  // namespace SIMT_SIDE
}  // namespace swarm::engine::kernels::cuda
