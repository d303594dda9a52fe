// engine/kernels/cpu/isa_table.h — What one instruction set offers: a table of plain functions.
// cpu_kernels.cpp shares out work over threads and calls these; the functions touch only their
// arguments and are thread-safe. Files that implement them are compiled for their instruction set,
// so nothing here may be an inline function that two such files could emit differently.
#pragma once

#include <cstddef>
#include <cstdint>

#include "engine/formats/block_types.h"
#include "engine/kernels/kernels.h"

namespace swarm::engine::kernels {

// How a kernel wants its activations. q8_32: int8 with one f32 scale per 32 elements; q8_256: per
// 256. Codes are round(x / scale), scale = max |x| / 127 over the block.
enum class ActivationFormat : uint8_t { f32, q8_32, q8_256 };

// Rows of quantised activations, `cols` elements each; cols is a multiple of the block.
struct QuantRows {
  int32_t cols = 0;
  int8_t* codes = nullptr;      // [rows, cols], in [-127, 127]
  float* scales = nullptr;      // [rows, cols / block]
  int32_t* sums = nullptr;      // q8_32: [rows, cols / 32] sums of codes
  int16_t* sums16 = nullptr;    // q8_256: [rows, cols / 16]
  int16_t* sums32 = nullptr;    // q8_256: [rows, cols / 32]
};

// y[i * y_stride + r] = dot(weight row r, input row x_rows[i]) for i < tokens.
struct DotJob {
  formats::TensorType type = formats::TensorType::f32;
  const std::byte* weight = nullptr;   // row 0
  size_t row_bytes = 0;
  int32_t cols = 0;
  const float* x = nullptr;            // [*, cols]; or
  QuantRows quant;                     // the same rows quantised
  const int32_t* x_rows = nullptr;     // null: input row i
  int32_t tokens = 0;
  float* y = nullptr;
  size_t y_stride = 0;
};

// Rows [row_begin, row_end). scratch: at least dot_scratch_bytes(cols), 64-byte aligned.
using DotFunction = void (*)(const DotJob& job, int32_t row_begin, int32_t row_end,
                             std::byte* scratch);

struct DotKernel {
  DotFunction run = nullptr;
  ActivationFormat activations = ActivationFormat::f32;
};

// One tile of attention: consecutive positions of one sequence x the query heads of one KV head.
struct AttentionTile {
  const float* q = nullptr;            // token 0 of the tile, first head of the group
  float* out = nullptr;                // same layout as q
  size_t token_stride = 0;             // floats between tokens in q and out
  int32_t tokens = 0;
  int32_t group = 0;                   // query heads per KV head, adjacent in q
  int32_t position = 0;                // of token 0
  int32_t kv_head = 0;
  float scale = 0;
  const int32_t* pages = nullptr;
  KvLayer kv;
};

struct IsaTable {
  const char* name = nullptr;
  int32_t row_tile = 0;                // rows worked on together; row ranges start at multiples

  // run is null where the type has no kernel of its own: then rows are decoded to f32.
  DotKernel (*find_dot)(formats::TensorType type) = nullptr;

  // One row each. count and cols: any; quantising needs a multiple of the block.
  void (*quantize_32)(const float* x, const QuantRows& out, int32_t row) = nullptr;
  void (*quantize_256)(const float* x, const QuantRows& out, int32_t row) = nullptr;
  void (*rms_norm)(const float* x, const float* weight, float eps, int32_t count,
                   float* out) = nullptr;
  void (*add)(float* y, const float* x, size_t count) = nullptr;
  void (*add_scaled)(float* y, const float* x, float factor, int32_t count) = nullptr;
  void (*silu_mul)(float* gate, const float* up, int32_t count) = nullptr;   // gate = silu(gate)*up
  void (*to_f16)(const float* x, int32_t count, uint16_t* out) = nullptr;

  size_t (*attention_scratch_bytes)(int32_t rows, int32_t head_dim) = nullptr;
  void (*attention)(const AttentionTile& tile, std::byte* scratch) = nullptr;
};

// Null when this build was not made for x86-64.
const IsaTable* avx2_table();
const IsaTable* avx512_table();        // F, BW, VL, DQ and VNNI

// Columns unpacked at a time by the quantised kernels.
inline constexpr int32_t kPanelCols = 2048;
// Scratch of the quantised kernels: 16 rows of a panel with scales for every 16 columns.
inline constexpr size_t kDotScratchBytes = size_t{16} * kPanelCols * 2;
// Query rows (tokens x group) of one attention tile, at most.
inline constexpr int32_t kAttentionRows = 32;

}  // namespace swarm::engine::kernels
