#include "engine/formats/fp8.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <string>

namespace swarm::engine::formats {

float e4m3_to_f32(uint8_t code) {
  const int exponent = (code >> 3) & 15, mantissa = code & 7;
  float magnitude = 0.0f;
  if ((code & 127) == 127) {
    magnitude = std::numeric_limits<float>::quiet_NaN();
  } else if (exponent == 0) {
    magnitude = static_cast<float>(mantissa) * 0x1.0p-9f;
  } else {
    magnitude = std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
  }
  return (code & 128) != 0 ? -magnitude : magnitude;
}

uint8_t f32_to_e4m3(float value) {
  const auto sign = static_cast<uint8_t>(std::signbit(value) ? 128 : 0);
  if (std::isnan(value)) return sign | 127;
  const float magnitude = std::min(std::abs(value), kE4m3Max);
  if (magnitude < 0x1.0p-6f) {   // subnormal: steps of 2^-9; eight of them are the first normal
    return static_cast<uint8_t>(sign | static_cast<int>(std::nearbyint(magnitude * 0x1.0p9f)));
  }
  // Rebias the exponent (-120), keep three mantissa bits, round to nearest even; a carry moves into
  // the exponent and cannot pass 448.
  const uint32_t bits = std::bit_cast<uint32_t>(magnitude);
  const uint32_t odd = (bits >> 20) & 1u;
  return static_cast<uint8_t>(sign | ((bits - 0x3c000000u + 0x7ffffu + odd) >> 20));
}

Result<void> pack_fp8_rows(std::span<const uint8_t> codes, std::span<const float> scales,
                           uint64_t first_row, uint64_t cols, std::span<std::byte> out) {
  if (cols == 0 || cols % kFp8Block != 0)
    return invalid_input("FP8: expected rows of a multiple of 128 elements, found " +
                         std::to_string(cols));
  const uint64_t rows = codes.size() / cols, blocks = cols / kFp8Block;
  constexpr size_t kBlockBytes = sizeof(float) + kFp8Block;
  if (codes.size() % cols != 0 || out.size() != rows * blocks * kBlockBytes)
    return invalid_input("FP8: " + std::to_string(codes.size()) + " codes in rows of " +
                         std::to_string(cols) + " do not fill " + std::to_string(out.size()) +
                         " bytes");
  if (rows > 0 && (first_row + rows - 1) / kFp8Block >= scales.size() / blocks)
    return invalid_input("FP8: " + std::to_string(scales.size()) +
                         " scales are too few for row " + std::to_string(first_row + rows - 1));
  for (uint64_t r = 0; r < rows; ++r) {
    const uint64_t scale_row = (first_row + r) / kFp8Block;
    for (uint64_t b = 0; b < blocks; ++b) {
      std::byte* to = out.data() + (r * blocks + b) * kBlockBytes;
      std::memcpy(to, &scales[scale_row * blocks + b], sizeof(float));
      std::memcpy(to + sizeof(float), &codes[r * cols + b * kFp8Block], kFp8Block);
    }
  }
  return {};
}

}  // namespace swarm::engine::formats
