// engine/kernels/cuda/matmul/matmul.h — Products of weight matrices of every type with rows of
// activations, dense or routed to experts, and decoding of embedding rows. Entry points only check
// what a launch needs; shapes are the caller's business. Asynchronous on the stream; the state of
// every call is in its arguments.
//
// Numbers: integer types multiply codes: y = sum over groups of 32 of scale_x * (scale_w *
// sum(codes of w * codes of x) - min_w * sum(codes of x)); the sums of products are exact integers,
// the rest is f32. Float types multiply f32 activations: gemv in f32; gemm (f16, bf16, fp8) on
// tensor cores with each activation as two bf16 halves (of a product, bf16 loses at most 2^-17, f16
// and fp8 2^-15) and f32 accumulation. f32 weights are always multiplied in f32.
// A row of y has the same bits for every number of rows in the call as long as one kernel family
// computes it: set Family::gemm for that.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/kernels/cuda/simt/stream.h"
#include "engine/kernels/cuda/weights/weight_types.h"

namespace swarm::engine::kernels::cuda {

// Rows of activations as int8 codes: x = scale * code, one scale per group of 32, nearest even of
// x * 127 / max|x|. Columns are padded with zeros to a multiple of 64, so that a tile of gemm never
// ends inside.
struct QuantisedRows {
  int8_t* codes = nullptr;             // [rows, padded]
  float* scales = nullptr;             // [rows, padded / 32]
  uint32_t* sums = nullptr;            // [rows, padded / 32]: i16 sums of codes 0..15 and 16..31
  int32_t padded = 0;                  // columns
};
inline constexpr int32_t kQuantisedPadding = 64;
constexpr int32_t quantised_columns(int32_t cols) {
  return (cols + kQuantisedPadding - 1) / kQuantisedPadding * kQuantisedPadding;
}
constexpr size_t quantised_bytes(int64_t rows, int32_t cols) {
  const auto padded = static_cast<size_t>(quantised_columns(cols));
  return static_cast<size_t>(rows) * (padded + padded / 32 * 8);
}
// Carves `memory` (quantised_bytes, 16-byte aligned, device).
QuantisedRows quantised_rows(void* memory, int64_t rows, int32_t cols);

struct QuantizeArgs {
  const float* x = nullptr;            // [rows, cols]; cols % 32 == 0, 16-byte aligned
  int32_t rows = 0;
  int32_t cols = 0;
  QuantisedRows to;
};
// A group with an infinity or a NaN gets a scale that is not finite, and so does every product.
// Memory-bound: reads 4 bytes and writes 1.25 per element.
simt::Status quantize_rows(simt::Stream stream, const QuantizeArgs& args);

enum class Family : uint8_t {
  by_size,                             // what is fastest for the number of rows
  gemv,                                // a warp or more per weight row: few rows
  gemm,                                // tiles on tensor cores: many rows
};

// y[i, r] = sum_c weight[r, c] * x[i, c], and with `up`: silu(that) * sum_c up[r, c] * x[i, c].
//
// Dense (expert_begin null): i counts the rows of x. Routed: i counts pairs (token, expert) sorted
// by expert; pairs expert_begin[e] to expert_begin[e + 1] use the matrices e. The x row of pair i
// is pair_token[i], or i itself where pair_token is null.
struct MatmulArgs {
  WeightView weight;                   // of expert 0
  const uint8_t* up = nullptr;         // a second matrix of the same type and shape
  int64_t expert_bytes = 0;            // from one expert's matrix to the next, a multiple of 16
  const float* x = nullptr;            // [.., cols]: read by float types
  QuantisedRows quantised;             // of x: read by integer types
  float* y = nullptr;                  // [rows, weight.rows]
  int32_t rows = 0;                    // rows of y: tokens, or pairs
  const int32_t* expert_begin = nullptr;   // [experts + 1], device; the last is `rows`
  const int32_t* pair_token = nullptr;     // [rows], device
  int32_t experts = 0;
  Family family = Family::by_size;
};
// Bytes: each weight once per call where gemv is taken (once per 8 rows from L2 beyond that), once
// per 16 or 64 rows with gemm. Flops: 2 rows cols rows_of_y.
simt::Status matmul(simt::Stream stream, const MatmulArgs& args);

struct EmbedArgs {
  WeightView table;                    // [vocab, hidden]
  const int32_t* tokens = nullptr;     // [rows], device, each below table.rows
  float* out = nullptr;                // [rows, hidden]
  int32_t rows = 0;
};
// out[i] = decoded row tokens[i]; every value is exactly the reference decoding.
simt::Status embed(simt::Stream stream, const EmbedArgs& args);

}  // namespace swarm::engine::kernels::cuda
