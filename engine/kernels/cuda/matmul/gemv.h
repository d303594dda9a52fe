// engine/kernels/cuda/matmul/gemv.h — Few rows of activations: the kernel template behind matmul
// for all types, instantiated by weights_*.cu. Device code.
//
// A warp computes two lines for up to kTokens rows of x at once: two neighbouring rows of one
// matrix, or the same row of gate and up. Where a row has many groups, 2 or 4 warps share it. Lane
// i takes groups i, i + 32, ...: 16-byte loads of neighbouring lanes are neighbours in memory,
// every weight byte is read once per call of up to 8 rows, activations come from the first-level
// cache.
// Sums: lane, butterfly over the warp, then warps in order; the same for every number of rows.
// Bound by memory for up to 8 rows; more rows are further blocks that find the weights in L2.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/matmul/matmul_rows.h"
#include "engine/kernels/cuda/weights/weight_codec.h"
#include "engine/kernels/cuda/weights/weight_codec_float.h"

namespace swarm::engine::kernels::cuda {
inline namespace SIMT_SIDE {

inline constexpr int kGemvWarps = 4;
inline constexpr int kGemvRows = 8;    // rows of x per block, at most
inline constexpr int kGemvPairs = 16;  // up to so many pairs, each has blocks of its own

struct GemvSmem {
  float sum[kGemvWarps][kGemvRows][2];
};

namespace detail {

struct Lines {
  const uint8_t* a;
  const uint8_t* b;
};

// part += products of one group for one row of x; the integer sums are exact.
template <class C>
__device__ inline float group_product(const Group& w, const uint32_t (&x)[8], uint32_t sums) {
  int32_t dot[2] = {0, 0};
#pragma unroll
  for (int k = 0; k < 8; ++k)
    dot[C::kHalves ? k / 4 : 0] = prim::dp4a(w.codes[k], x[k], dot[C::kHalves ? k / 4 : 0]);
  float part = prim::multiply(w.scale[0], static_cast<float>(dot[0]));
  if constexpr (C::kHalves) part = prim::fma(w.scale[1], static_cast<float>(dot[1]), part);
  if constexpr (C::kMin) {
    const auto low = static_cast<int32_t>(static_cast<int16_t>(sums & 0xffffu));
    const auto high = static_cast<int32_t>(sums) >> 16;
    if constexpr (C::kHalves) {
      part = prim::fma(-w.min[0], static_cast<float>(low), part);
      part = prim::fma(-w.min[1], static_cast<float>(high), part);
    } else {
      part = prim::fma(-w.min[0], static_cast<float>(low + high), part);
    }
  }
  return part;
}

template <class C, int kTokens>
__device__ inline void integer_lines(const MatmulArgs& p, const Lines& lines, const RowTile& tile,
                                     int unit, int step, float (&acc)[kTokens][2]) {
  const int groups = p.weight.cols / 32;
  int64_t x_at[kTokens];
#pragma unroll
  for (int t = 0; t < kTokens; ++t)
    x_at[t] = x_row(p, tile.first + prim::min(t, tile.count - 1)) * p.quantised.padded;
#pragma unroll 1
  for (int g = unit; g < groups; g += step) {
    const auto raw_a = C::load(lines.a, g, groups);
    const auto raw_b = C::load(lines.b, g, groups);
    Group a, b;
    C::decode(raw_a, g, a);
    C::decode(raw_b, g, b);
#pragma unroll
    for (int t = 0; t < kTokens; ++t) {
      if (t >= tile.count) break;
      const auto* codes =
          reinterpret_cast<const Words4*>(p.quantised.codes + x_at[t] + 32 * int64_t{g});
      const Words4 low = prim::load_readonly(codes), high = prim::load_readonly(codes + 1);
      const uint32_t x[8] = {low.w[0],  low.w[1],  low.w[2],  low.w[3],
                             high.w[0], high.w[1], high.w[2], high.w[3]};
      const int64_t at = x_at[t] / 32 + g;
      const float scale = p.quantised.scales[at];
      uint32_t sums = 0;
      if constexpr (C::kMin) sums = p.quantised.sums[at];
      acc[t][0] = prim::fma(scale, group_product<C>(a, x, sums), acc[t][0]);
      acc[t][1] = prim::fma(scale, group_product<C>(b, x, sums), acc[t][1]);
    }
  }
}

template <class C, int kTokens>
__device__ inline void float_lines(const MatmulArgs& p, const Lines& lines, const RowTile& tile,
                                   int unit, int step, float (&acc)[kTokens][2]) {
  const int cols = p.weight.cols;
  const int units = prim::ceil_div(cols, 8);
  int64_t x_at[kTokens];
#pragma unroll
  for (int t = 0; t < kTokens; ++t)
    x_at[t] = x_row(p, tile.first + prim::min(t, tile.count - 1)) * cols;
#pragma unroll 1
  for (int u = unit; u < units; u += step) {
    const auto raw_a = C::load(lines.a, u, cols);
    const auto raw_b = C::load(lines.b, u, cols);
    Eight a, b;
    C::decode(raw_a, a);
    C::decode(raw_b, b);
#pragma unroll
    for (int t = 0; t < kTokens; ++t) {
      if (t >= tile.count) break;
      const Eight x = load_x(p.x + x_at[t], 8 * u, cols);
#pragma unroll
      for (int k = 0; k < 8; ++k) {
        acc[t][0] = prim::fma(a.v[k], x.v[k], acc[t][0]);
        acc[t][1] = prim::fma(b.v[k], x.v[k], acc[t][1]);
      }
    }
  }
}

}  // namespace detail

// Grid: x = blocks of lines * tiles, the tile fastest, so that blocks that read the same weights
// run together. `split` warps share a line.
template <WeightType type, int kTokens>
__global__ void __launch_bounds__(kGemvWarps * 32)
gemv_kernel(MatmulArgs p, int tiles, int split) {
  auto& smem = simt::shared<GemvSmem>();
  using C = Codec<type>;
  const int index = static_cast<int>(blockIdx.x % static_cast<unsigned>(tiles));
  const int block = static_cast<int>(blockIdx.x / static_cast<unsigned>(tiles));
  const RowTile tile = p.expert_begin != nullptr
                           ? tile_at_pair(p.expert_begin, p.experts, index, kTokens)
                           : dense_tile(p, index, kTokens);
  if (tile.count <= 0) return;         // the whole block

  const int sets = kGemvWarps / split;
  const int set = simt::warp() / split;
  const int part = simt::warp() % split;
  const int rows = p.weight.rows;
  const int first = (block * sets + set) * (p.up != nullptr ? 1 : 2);
  const int64_t row_bytes = placed_row_bytes(type, p.weight.cols);
  const int64_t expert_at = tile.expert * p.expert_bytes;
  detail::Lines lines;
  lines.a = p.weight.data + expert_at + prim::min(first, rows - 1) * row_bytes;
  lines.b = p.up != nullptr
                ? p.up + expert_at + prim::min(first, rows - 1) * row_bytes
                : p.weight.data + expert_at + prim::min(first + 1, rows - 1) * row_bytes;
  float acc[kTokens][2] = {};
  const int unit = part * simt::kWarp + simt::lane();
  if constexpr (is_integer(type))
    detail::integer_lines<C, kTokens>(p, lines, tile, unit, split * simt::kWarp, acc);
  else
    detail::float_lines<C, kTokens>(p, lines, tile, unit, split * simt::kWarp, acc);
#pragma unroll
  for (int t = 0; t < kTokens; ++t) {
    const float a = prim::warp_sum(acc[t][0]), b = prim::warp_sum(acc[t][1]);
    if (simt::lane() == 0) {
      smem.sum[simt::warp()][t][0] = a;
      smem.sum[simt::warp()][t][1] = b;
    }
  }
  simt::sync_threads();
  // Lane t of the first warp of a set stores row t.
  const int t = simt::lane();
  if (part != 0 || t >= tile.count || first >= rows) return;
  float a = smem.sum[simt::warp()][t][0], b = smem.sum[simt::warp()][t][1];
  for (int i = 1; i < split; ++i) {
    a = prim::add(a, smem.sum[simt::warp() + i][t][0]);
    b = prim::add(b, smem.sum[simt::warp() + i][t][1]);
  }
  float* y = p.y + int64_t{tile.first + t} * rows + first;
  if (p.up != nullptr) {
    y[0] = swiglu(a, b);
  } else {
    y[0] = a;
    if (first + 1 < rows) y[1] = b;
  }
}

// Warps per line: enough lanes that each has one or two groups of a long row; depends on the shape
// alone, so that the order of a sum does.
template <WeightType type>
simt::Status launch_gemv(simt::Stream stream, const MatmulArgs& args) {
  const int units = prim::ceil_div(args.weight.cols, is_integer(type) ? 32 : 8);
  const int split = units > 2 * simt::kWarp ? 4 : units > simt::kWarp ? 2 : 1;
  const int lines = args.up != nullptr ? args.weight.rows : prim::ceil_div(args.weight.rows, 2);
  const int blocks = prim::ceil_div(lines, kGemvWarps / split);
  // Pairs of one or two tokens hardly share an expert.
  const bool one = args.rows == 1 || (args.expert_begin != nullptr && args.rows <= kGemvPairs);
  const int tiles = args.expert_begin != nullptr ? args.rows : prim::ceil_div(args.rows, kGemvRows);
  const simt::Config config{.grid = {.x = int64_t{blocks} * tiles}, .block = kGemvWarps * 32,
                            .shared_bytes = sizeof(GemvSmem), .stream = stream};
  if (one) return simt::launch(config, gemv_kernel<type, 1>, args, tiles, split);
  return simt::launch(config, gemv_kernel<type, kGemvRows>, args, tiles, split);
}

}  // namespace SIMT_SIDE
}  // namespace swarm::engine::kernels::cuda
