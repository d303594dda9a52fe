// engine/kernels/cuda/matmul/gemm_float.h — Many rows of activations times f16, bf16 or fp8 weights
// on tensor cores: the kernel template behind matmul, instantiated by weights_float.cu. Device
// code.
//
// Numbers are sums of bf16 parts: an activation of 2 (what is lost is at most 2^-17 of it), a bf16
// weight of 1, an f16 weight of 2 (exact), an fp8 weight times its scale of 2 (2^-17). Products of
// two second parts, at most 2^-16, are left out. Accumulation in f32, in ascending columns.
// Per stage of 32 columns: thread l converts line l and its share of x, both loaded one stage
// ahead, into shared memory, two buffers, one barrier. Bytes: weights once per kTokens rows, x once
// per 128 lines (from L2). Bound by the 2 or 3 mma per product.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/matmul/gemm_tile.h"
#include "engine/kernels/cuda/weights/weight_codec_float.h"

namespace swarm::engine::kernels::cuda {
inline namespace SIMT_SIDE {

inline constexpr int kStageUnits = 4;  // of 8 columns
inline constexpr int kXParts = 2;

template <int kParts, int kTokens>
struct GemmFloatSmem {
  TileLine w[2][kParts][kGemmLines];
  TileLine x[2][kXParts][kTokens];
};

namespace detail {

// Part by part, the nearest bf16 to what is left.
template <int kParts>
__device__ inline void split(const Eight& from, Words4 (&parts)[kParts]) {
  Eight rest = from;
#pragma unroll
  for (int i = 0; i < kParts; ++i)
#pragma unroll
    for (int k = 0; k < 4; ++k) {
      const prim::bf16 a = prim::to_bf16(rest.v[2 * k]), b = prim::to_bf16(rest.v[2 * k + 1]);
      parts[i].w[k] = prim::pack(a, b);
      rest.v[2 * k] -= prim::to_float(a);
      rest.v[2 * k + 1] -= prim::to_float(b);
    }
}

template <int kParts, int kTokens>
__device__ inline void float_products(const GemmFloatSmem<kParts, kTokens>& smem, int buffer,
                                      int k, float (&acc)[2][kTokens / 8][4]) {
  uint32_t a[kParts][2][4];
#pragma unroll
  for (int i = 0; i < kParts; ++i)
#pragma unroll
    for (int m = 0; m < 2; ++m)
      load_a(a[i][m], smem.w[buffer][i], simt::warp() * 32 + 16 * m, k);
#pragma unroll
  for (int n = 0; n < kTokens / 8; n += 2) {
    uint32_t high[4], low[4];
    load_b(high, smem.x[buffer][0], 8 * n, k);
    load_b(low, smem.x[buffer][1], 8 * n, k);
#pragma unroll
    for (int j = 0; j < 2; ++j)
#pragma unroll
      for (int m = 0; m < 2; ++m) {
        // Small terms first.
        prim::mma_m16n8k16<prim::bf16>(acc[m][n + j], a[0][m], {low[2 * j], low[2 * j + 1]});
        if constexpr (kParts == 2)
          prim::mma_m16n8k16<prim::bf16>(acc[m][n + j], a[1][m], {high[2 * j], high[2 * j + 1]});
        prim::mma_m16n8k16<prim::bf16>(acc[m][n + j], a[0][m], {high[2 * j], high[2 * j + 1]});
      }
  }
}

}  // namespace detail

template <WeightType type, int kTokens>
__global__ void __launch_bounds__(kGemmThreads) gemm_float_kernel(MatmulArgs p, int tiles) {
  using C = Codec<type>;
  constexpr int kParts = C::kParts;
  auto& smem = simt::shared<GemmFloatSmem<kParts, kTokens>>();
  const int block = static_cast<int>(blockIdx.x / static_cast<unsigned>(tiles));
  const RowTile tile =
      gemm_rows<kTokens>(p, static_cast<int>(blockIdx.x % static_cast<unsigned>(tiles)));
  if (tile.count <= 0) return;         // the whole block

  const int line = static_cast<int>(threadIdx.x);
  const int cols = p.weight.cols;
  const int units = prim::ceil_div(cols, 8);
  const int stages = prim::ceil_div(units, kStageUnits);
  const uint8_t* weights = line_weights(p, tile.expert, block, line, placed_row_bytes(type, cols));
  // Units of x that this thread converts: unit thread % 4 of rows thread / 4, + 32, ...
  constexpr int kShare = (kTokens * kStageUnits + kGemmThreads - 1) / kGemmThreads;
  const float* x[kShare];
#pragma unroll
  for (int i = 0; i < kShare; ++i) {
    const int token = (i * kGemmThreads + line) / kStageUnits;
    x[i] = p.x + x_row(p, tile.first + prim::min(token, tile.count - 1)) * cols;
  }
  typename C::Raw raw[kStageUnits];
  Eight ahead[kShare];
  // Beyond the last unit x is zero and the weights of that unit are repeated.
  const auto load = [&](int stage) {
#pragma unroll
    for (int u = 0; u < kStageUnits; ++u)
      raw[u] = C::load(weights, prim::min(stage * kStageUnits + u, units - 1), cols);
#pragma unroll
    for (int i = 0; i < kShare; ++i)
      ahead[i] = load_x(x[i], 8 * (stage * kStageUnits + line % kStageUnits), cols);
  };
  load(0);
  float acc[2][kTokens / 8][4] = {};
#pragma unroll 1
  for (int stage = 0; stage < stages; ++stage) {
    const int buffer = stage % 2;
#pragma unroll
    for (int u = 0; u < kStageUnits; ++u) {
      Eight w;
      C::decode(raw[u], w);
      Words4 parts[kParts];
      detail::split<kParts>(w, parts);
#pragma unroll
      for (int i = 0; i < kParts; ++i)
        smem.w[buffer][i][line].chunk[tile_chunk(line, u)] = parts[i];
    }
#pragma unroll
    for (int i = 0; i < kShare; ++i) {
      const int token = (i * kGemmThreads + line) / kStageUnits;
      if (token >= kTokens) continue;
      Words4 parts[kXParts];
      detail::split<kXParts>(ahead[i], parts);
#pragma unroll
      for (int h = 0; h < kXParts; ++h)
        smem.x[buffer][h][token].chunk[tile_chunk(token, line % kStageUnits)] = parts[h];
    }
    if (stage + 1 < stages) load(stage + 1);
    simt::sync_threads();              // also: everybody is done with the other buffer
#pragma unroll
    for (int k = 0; k < 2; ++k)
      detail::float_products<kParts, kTokens>(smem, buffer, k, acc);
  }
  store_tile<kTokens>(p, tile, block, acc);
}

template <WeightType type>
simt::Status launch_gemm_float(simt::Stream stream, const MatmulArgs& args) {
  constexpr int kParts = Codec<type>::kParts;
  return takes_few(args) ? launch_tiles<GemmFloatSmem<kParts, kGemmFew>, kGemmFew>(
                               stream, args, gemm_float_kernel<type, kGemmFew>)
                         : launch_tiles<GemmFloatSmem<kParts, kGemmMany>, kGemmMany>(
                               stream, args, gemm_float_kernel<type, kGemmMany>);
}

}  // namespace SIMT_SIDE
}  // namespace swarm::engine::kernels::cuda
