// engine/kernels/cuda/matmul/matmul_rows.h — What gemv and gemm share: which rows a block works on,
// the addresses of weight rows, and how a finished product is stored. Device code, no state.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/matmul/matmul.h"
#include "engine/kernels/cuda/prim/integer.h"
#include "engine/kernels/cuda/prim/math.h"
#include "engine/kernels/cuda/prim/warp.h"
#include "engine/kernels/cuda/simt/simt.h"

namespace swarm::engine::kernels::cuda {
inline namespace SIMT_SIDE {

// Rows first .. first + count - 1 of y, all of one expert. count 0: nothing to do.
struct RowTile {
  int expert = 0;
  int first = 0;
  int count = 0;
};

// The tile that begins at pair `pair`, when tiles of an expert begin every `most` pairs. All lanes
// of a warp call it; the result is the same in all of them.
__device__ inline RowTile tile_at_pair(const int32_t* begin, int experts, int pair, int most) {
  int below = 0;                       // experts that end at or before the pair
  for (int e = simt::lane(); e < experts; e += simt::kWarp) below += begin[e + 1] <= pair ? 1 : 0;
  const int expert = prim::warp_sum(below);
  if (expert >= experts) return {};
  const int from = begin[expert], to = begin[expert + 1];
  if ((pair - from) % most != 0) return {};
  return {expert, pair, prim::min(most, to - pair)};
}

// Tile `index` when the pairs of each expert are cut into tiles of `most`. As above.
__device__ inline RowTile tile_by_index(const int32_t* begin, int experts, int index, int most) {
  int before = 0;                      // tiles of lower experts
  for (int e0 = 0; e0 < experts; e0 += simt::kWarp) {
    const int e = e0 + simt::lane();
    const int count = e < experts ? begin[e + 1] - begin[e] : 0;
    const int tiles = prim::ceil_div(count, most);
    const int end = before + prim::warp_inclusive_sum(tiles);
    const uint32_t after = prim::ballot(end > index);
    if (after != 0) {
      const int lane = prim::lowest_bit(after);
      const int first_tile = prim::shuffle(end - tiles, lane);
      const int expert = e0 + lane;
      const int first = begin[expert] + (index - first_tile) * most;
      return {expert, first, prim::min(most, begin[expert + 1] - first)};
    }
    before = prim::shuffle(end, simt::kWarp - 1);
  }
  return {};
}

__device__ inline RowTile dense_tile(const MatmulArgs& p, int index, int most) {
  const int first = index * most;
  return {0, first, prim::min(most, p.rows - first)};
}

// Row of x that row i of y is made of.
__device__ inline int64_t x_row(const MatmulArgs& p, int i) {
  return p.pair_token != nullptr ? p.pair_token[i] : i;
}

// x / (1 + e^-x) * up.
__device__ inline float swiglu(float gate, float up) {
  const float silu = prim::multiply(gate, prim::reciprocal(prim::add(1.0f, prim::exp(-gate))));
  return prim::multiply(silu, up);
}

}  // namespace SIMT_SIDE
}  // namespace swarm::engine::kernels::cuda
