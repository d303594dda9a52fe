// engine/kernels/cuda/weights/weight_types.h — The weight matrices that kernels multiply with:
// their types, how a row lies in device memory, and views of them. Plain C++ for host and device;
// no ownership.
//
// A placed row holds the same bits as the file's row, as planes instead of blocks, so that lanes of
// a warp read neighbouring, aligned bytes. With g the group of 32 elements, G = cols / 32 groups,
// s = g / 8 the super-block of the 256-element types, planes follow each other in this order
// ("16g" = 16 bytes per group, "2s" = 2 bytes per super-block), then zeros up to 16 bytes:
//
//   q4_0     16g nibbles, 2g d                    q4_1     16g nibbles, 4g (d, m)
//   q5_0     16g nibbles, 4g bit 4, 2g d          q5_1     16g nibbles, 4g bit 4, 4g (d, m)
//   q8_0     16g codes 0..15, 16g codes 16..31, 2g d
//   q2_k     8g pairs, 2g (scale | min << 4) x 2, 4s (d, dmin)
//   q3_k     8g pairs, 4g bit 2, 4s scale bits 4..5, 1g scale bits 0..3 x 2, 2s d
//   q4_k     16g nibbles, 16s header              q5_k     16g nibbles, 16s header, 4g bit 4
//   q6_k     16g nibbles, 8g pairs (bits 4..5), 2g scales x 2, 2s d
//   iq2_xxs  8g (4 indices, signs and scale), 2s d
//   iq2_xs   8g (4 indices and signs), 1g scales x 2, 2s d
//   iq2_s    8g (4 indices, 4 sign bytes), 2g (index bits 8..9, scales x 2), 2s d
//   iq3_xxs  8g indices, 4g signs and scale, 2s d
//   iq3_s    8g indices, 4g signs, 4s scales, 1g index bit 8, 2s d
//   iq4_nl   16g ordered nibbles, 2g d            iq4_xs   16g ordered nibbles, 8s header
//   mxfp4    16g ordered nibbles, 1g exponent
//   f32 f16 bf16: the numbers, zeros up to a multiple of 8 elements
//   fp8      codes, then f32 scales per 128 columns
//
// nibbles: byte i = element i | element i + 16 << 4. ordered nibbles: element i in bits 4 i.
// pairs: two words of 16 elements, element 4 k + j of a word in bits 8 j + 2 k. bit n: element
// 4 k + j in bit 8 j + k. Header of q4_k, q5_k: d, dmin (f16); three words with nibble g % 8 =
// scale bits 0..3; min bits 0..3; scale bits 4..5 | min bits 4..5 << 2. Header of iq4_xs: d (f16),
// scales_h, scales_l as in the file.
// Source: reference/engine.md section 3.
#pragma once

#include <cstdint>

namespace swarm::engine::kernels::cuda {

enum class WeightType : uint8_t {
  f32, f16, bf16, fp8,                 // multiplied as numbers
  q4_0, q4_1, q5_0, q5_1, q8_0,        // multiplied as integer codes, as all that follow
  q2_k, q3_k, q4_k, q5_k, q6_k,
  iq2_xxs, iq2_xs, iq2_s, iq3_xxs, iq3_s, iq4_nl, iq4_xs, mxfp4,
};
inline constexpr int kWeightTypes = 22;

constexpr bool is_integer(WeightType type) { return type >= WeightType::q4_0; }

// cols is a multiple of block elements.
struct WeightBlock {
  int32_t elements;
  int32_t bytes;
};
constexpr WeightBlock weight_block(WeightType type) {
  constexpr WeightBlock kBlocks[kWeightTypes] = {
      {1, 4},    {1, 2},    {1, 2},    {128, 132}, {32, 18},  {32, 20},  {32, 22},  {32, 24},
      {32, 34},  {256, 84}, {256, 110}, {256, 144}, {256, 176}, {256, 210}, {256, 66}, {256, 74},
      {256, 82}, {256, 98}, {256, 110}, {32, 18},  {256, 136}, {32, 17}};
  return kBlocks[static_cast<int>(type)];
}

// Bytes from one placed row to the next, a multiple of 16.
constexpr int64_t placed_row_bytes(WeightType type, int32_t cols) {
  const auto up = [](int64_t n, int64_t unit) { return (n + unit - 1) / unit * unit; };
  const WeightBlock block = weight_block(type);
  if (block.elements == 1) return up(up(cols, 8) * block.bytes, 16);
  return up(int64_t{cols} / block.elements * block.bytes, 16);
}

// A placed matrix in device memory, 16-byte aligned. Row r begins at data + r * placed_row_bytes.
struct WeightView {
  WeightType type = WeightType::f32;
  int32_t rows = 0;                    // output features
  int32_t cols = 0;                    // input features
  const uint8_t* data = nullptr;
};

}  // namespace swarm::engine::kernels::cuda
