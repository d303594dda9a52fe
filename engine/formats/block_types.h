// engine/formats/block_types.h — The table of tensor types: ids, block sizes, names, and which of
// them this build can decode or encode. Source: reference/engine.md sections 2 and 3.1.
// Pure functions, thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "engine/base/error.h"

namespace swarm::engine::formats {

enum class TensorType : uint32_t {
  f32 = 0, f16 = 1, q4_0 = 2, q4_1 = 3, q5_0 = 6, q5_1 = 7, q8_0 = 8, q8_1 = 9,
  q2_k = 10, q3_k = 11, q4_k = 12, q5_k = 13, q6_k = 14, q8_k = 15,
  iq2_xxs = 16, iq2_xs = 17, iq3_xxs = 18, iq1_s = 19, iq4_nl = 20, iq3_s = 21, iq2_s = 22,
  iq4_xs = 23, i8 = 24, i16 = 25, i32 = 26, i64 = 27, f64 = 28, iq1_m = 29, bf16 = 30,
  tq1_0 = 34, tq2_0 = 35, mxfp4 = 39, nvfp4 = 40, q1_0 = 41, q2_0 = 42,
  // Ours, not in GGUF (other readers refuse such a file): f32 scale, then 128 codes of E4M3 ("fn":
  // bias 7, no infinities, 0x7f is NaN). w = scale * code. How the block-wise FP8 of Hugging Face
  // checkpoints is held (fp8.h): their 128 x 128 scales repeated per row, so that a row, an expert
  // or a slice of rows stands alone like in every other type, for 3 % more bytes.
  fp8 = 0x46503800,
};

struct BlockType {
  TensorType type;
  std::string_view name;        // "Q4_K": as users write it
  uint32_t block_elements;
  uint32_t block_bytes;
  bool decodable;               // dequantize() works
  bool encodable;               // quantize() works
};

std::span<const BlockType> block_types();
const BlockType* find_block_type(TensorType type);            // nullptr for unknown ids
Result<const BlockType*> block_type_by_name(std::string_view name);  // case-insensitive

// Rows: elements must be a multiple of block_elements, out/in exactly that long.
// dequantize is the scalar reference decoding (formulas of section 3).
Result<void> dequantize(TensorType type, std::span<const std::byte> blocks, std::span<float> out);
Result<void> quantize(TensorType type, std::span<const float> values, std::span<std::byte> blocks);

// IEEE binary16 and bfloat16, round to nearest even.
float f16_to_f32(uint16_t bits);
uint16_t f32_to_f16(float value);
inline float bf16_to_f32(uint16_t bits) { return __builtin_bit_cast(float, uint32_t{bits} << 16); }
uint16_t f32_to_bf16(float value);

}  // namespace swarm::engine::formats
