// engine/formats/fp8.h — E4M3 numbers ("fn": bias 7, no infinities, 0x7f and 0xff are NaN) and the
// block-wise FP8 of Hugging Face checkpoints (reference/engine.md section 8.2): codes [rows, cols]
// and one scale per 128 x 128 of them, which multiplies. Pure functions, thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

#include "engine/base/error.h"

namespace swarm::engine::formats {

inline constexpr float kE4m3Max = 448.0f;
inline constexpr uint64_t kFp8Block = 128;   // rows and columns per scale

float e4m3_to_f32(uint8_t code);
uint8_t f32_to_e4m3(float value);            // nearest, ties to even; beyond 448: 448; NaN stays

// Rows [first_row, first_row + row count) of a checkpoint's matrix as rows of TensorType::fp8.
// codes: these rows; scales: of the whole matrix, [ceil(all rows / 128), ceil(cols / 128)];
// out: row count * cols / 128 blocks of 132 bytes. cols must be a multiple of 128.
Result<void> pack_fp8_rows(std::span<const uint8_t> codes, std::span<const float> scales,
                           uint64_t first_row, uint64_t cols, std::span<std::byte> out);

}  // namespace swarm::engine::formats
