// engine/kernels/cuda/matmul/gemm_tile.h — The geometry that gemm_integer.h and gemm_float.h share:
// a block of 4 warps computes 128 lines of weights times kTokens rows of x; a warp has 32 lines
// (two fragments of 16) and all rows. In shared memory, a line and a row hold 64 bytes per stage:
// 64 codes or 32 bf16 numbers. Device code.
//
// Lines are rows of one matrix, or, with gate and up, of both: the first fragment of each warp is
// gate, the second the same rows of up, so that a lane holds both factors of its outputs.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/matmul/matmul_rows.h"
#include "engine/kernels/cuda/prim/ldmatrix.h"
#include "engine/kernels/cuda/prim/memory.h"
#include "engine/kernels/cuda/prim/mma.h"

namespace swarm::engine::kernels::cuda {
inline namespace SIMT_SIDE {

inline constexpr int kGemmThreads = 128;
inline constexpr int kGemmLines = 128;
inline constexpr int kGemmFew = 16;    // rows of x per tile, small
inline constexpr int kGemmMany = 64;   // and large

// 64 bytes as 16-byte chunks. Chunk c of line l lies at c ^ (l / 2 % 4): the 8 lines that one
// ldmatrix reads, or 8 lanes store, are in different banks.
struct TileLine {
  prim::Words4 chunk[4];
};
__device__ inline int tile_chunk(int line, int chunk) { return chunk ^ ((line >> 1) & 3); }

// A operand: lines first .. first + 15, chunks 2 k and 2 k + 1; first % 8 == 0, so that the chunk
// depends on the lane alone and `first` is a constant offset.
__device__ inline void load_a(uint32_t (&a)[4], const TileLine* lines, int first, int k) {
  const int lane = simt::lane();
  const TileLine* mine = lines + lane % 16;
  prim::ldmatrix_x4(a, &mine[first].chunk[tile_chunk(lane % 8, 2 * k + lane / 16)]);
}

// B operands of rows first .. first + 7 (b[0], b[1]) and first + 8 .. first + 15 (b[2], b[3]).
__device__ inline void load_b(uint32_t (&b)[4], const TileLine* rows, int first, int k) {
  const int lane = simt::lane();
  const TileLine* mine = rows + (lane / 16 * 8 + lane % 8);
  prim::ldmatrix_x4(b, &mine[first].chunk[tile_chunk(lane % 8, 2 * k + lane / 8 % 2)]);
}

// Rows of the matrix that a block covers.
__device__ inline int block_rows(const MatmulArgs& p) {
  return p.up != nullptr ? kGemmLines / 2 : kGemmLines;
}

// The matrix row of `line` of the block. Not clamped.
__device__ inline int line_row(const MatmulArgs& p, int block, int line) {
  const int inside = p.up != nullptr ? line / 32 * 16 + line % 16 : line;
  return block * block_rows(p) + inside;
}

// Where the weights of a line begin; lines beyond the matrix repeat its last row.
__device__ inline const uint8_t* line_weights(const MatmulArgs& p, int expert, int block, int line,
                                              int64_t row_bytes) {
  const int row = prim::min(line_row(p, block, line), p.weight.rows - 1);
  const uint8_t* matrix = p.up != nullptr && line % 32 >= 16 ? p.up : p.weight.data;
  return matrix + expert * p.expert_bytes + row * row_bytes;
}

// acc[fragment][rows of x / 8][value] of this lane to y.
template <int kTokens>
__device__ inline void store_tile(const MatmulArgs& p, const RowTile& tile, int block,
                                  const float (&acc)[2][kTokens / 8][4]) {
  const int rows = p.weight.rows;
#pragma unroll
  for (int n = 0; n < kTokens / 8; ++n)
#pragma unroll
    for (int i = 0; i < 4; ++i) {
      const int token = 8 * n + prim::mma_column(i);
      if (token >= tile.count) continue;
      float* y = p.y + int64_t{tile.first + token} * rows;
      const int line = simt::warp() * 32 + prim::mma_row(i);
      const int row = line_row(p, block, line);
      if (p.up != nullptr) {
        if (row < rows) y[row] = swiglu(acc[0][n][i], acc[1][n][i]);
      } else {
        if (row < rows) y[row] = acc[0][n][i];
        if (row + 16 < rows) y[row + 16] = acc[1][n][i];
      }
    }
}

// The rows of x of this block. Routed: tiles of kTokens pairs within each expert.
template <int kTokens>
__device__ inline RowTile gemm_rows(const MatmulArgs& p, int index) {
  return p.expert_begin != nullptr ? tile_by_index(p.expert_begin, p.experts, index, kTokens)
                                   : dense_tile(p, index, kTokens);
}

struct GemmGrid {
  int tiles = 0;                       // at most: routed tiles are counted on the device
  int64_t blocks = 0;
};
inline GemmGrid gemm_grid(const MatmulArgs& args, int tokens) {
  GemmGrid grid;
  grid.tiles = args.expert_begin == nullptr
                   ? prim::ceil_div(args.rows, tokens)
                   : args.rows / tokens + (args.rows < args.experts ? args.rows : args.experts);
  const int lines = args.up != nullptr ? kGemmLines / 2 : kGemmLines;
  grid.blocks = int64_t{prim::ceil_div(args.weight.rows, lines)} * grid.tiles;
  return grid;
}

template <class Smem, int kTokens>
simt::Status launch_tiles(simt::Stream stream, const MatmulArgs& args,
                          void (*kernel)(MatmulArgs, int)) {
  static_assert(sizeof(Smem) <= 48 * 1024);
  const GemmGrid grid = gemm_grid(args, kTokens);
  const simt::Config config{.grid = {.x = grid.blocks}, .block = kGemmThreads,
                            .shared_bytes = sizeof(Smem), .stream = stream};
  return simt::launch(config, kernel, args, grid.tiles);
}

// Small tiles until they would be full: an expert then has 24 pairs on average.
inline bool takes_few(const MatmulArgs& args) {
  return args.expert_begin == nullptr ? args.rows <= kGemmFew : args.rows <= 24 * args.experts;
}

}  // namespace SIMT_SIDE
}  // namespace swarm::engine::kernels::cuda
