// engine/kernels/cuda/matmul/halves.h — Activations as two 16-bit halves for products by a library
// (blas_products.h), and what undoes the scale of a row afterwards. Asynchronous.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/simt/stream.h"

namespace swarm::engine::kernels::cuda {

// x[r, c] = (high[r, c] + low[r, c]) * scale[r], high the nearest 16-bit number, low the nearest to
// what is left. bf16: scale 1, at most 2^-17 of x is lost. f16: scale is the power of two that
// brings the largest of the row to [2^8, 2^9), so nothing overflows; at most 2^-22 of x or 2^-33 of
// that largest is lost. A row with an infinity or a NaN has products that are not numbers.
struct SplitHalvesArgs {
  const float* x = nullptr;            // [rows, cols]
  uint16_t* high = nullptr;            // [rows, stride]; columns from cols on are zero
  uint16_t* low = nullptr;
  float* scale = nullptr;              // [rows]
  int32_t rows = 0;
  int32_t cols = 0;
  int32_t stride = 0;
  bool bf16 = false;
};
// Memory-bound: 12 bytes per element of f16, 8 of bf16.
simt::Status split_halves(simt::Stream stream, const SplitHalvesArgs& args);

// y[r, :] *= scale[r].
struct ScaleRowsArgs {
  float* y = nullptr;                  // [rows, cols]
  const float* scale = nullptr;        // [rows]
  int32_t rows = 0;
  int32_t cols = 0;
};
simt::Status scale_rows(simt::Stream stream, const ScaleRowsArgs& args);

}  // namespace swarm::engine::kernels::cuda
