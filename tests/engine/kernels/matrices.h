// tests/engine/kernels/matrices.h — Random weight matrices of every decodable type and random rows.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/rng.h"
#include "engine/formats/block_types.h"
#include "engine/kernels/kernels.h"

namespace swarm::test {

inline float uniform(Rng& rng) { return static_cast<float>(rng.uniform() * 2 - 1); }

inline std::vector<float> random_rows(Rng& rng, size_t count) {
  std::vector<float> values(count);
  for (float& v : values) v = uniform(rng);
  return values;
}

// A matrix that owns its bytes, and what they decode to.
struct Matrix {
  engine::kernels::Weight weight;
  std::vector<std::byte> bytes;
  std::vector<float> decoded;          // [rows, cols]
};

inline bool is_wide_integer(engine::formats::TensorType type) {
  using engine::formats::TensorType;
  return type == TensorType::i16 || type == TensorType::i32 || type == TensorType::i64;
}

// Types that cannot be encoded get random blocks that decode to small finite numbers.
inline void fill_random_block(Rng& rng, const engine::formats::BlockType& type,
                              std::span<std::byte> block, std::span<float> decoded) {
  for (;;) {
    for (std::byte& b : block) b = static_cast<std::byte>(rng.below(256));
    if (is_wide_integer(type.type)) std::fill(block.begin() + 1, block.end(), std::byte{0});
    SWARM_CHECK(engine::formats::dequantize(type.type, block, decoded).has_value());
    bool tame = true;
    for (const float v : decoded) tame = tame && std::abs(v) < 100.0f;   // false for NaN
    if (tame) return;
  }
}

inline Matrix random_matrix(Rng& rng, const engine::formats::BlockType& type, int32_t rows,
                            int32_t cols) {
  const size_t row_blocks = static_cast<size_t>(cols) / type.block_elements;
  const size_t blocks = row_blocks * static_cast<size_t>(rows);
  Matrix m;
  m.bytes.resize(blocks * type.block_bytes);
  m.decoded.resize(static_cast<size_t>(rows) * static_cast<size_t>(cols));
  if (type.encodable) {
    for (float& v : m.decoded) v = uniform(rng);
    SWARM_CHECK(engine::formats::quantize(type.type, m.decoded, m.bytes).has_value());
    SWARM_CHECK(engine::formats::dequantize(type.type, m.bytes, m.decoded).has_value());
  } else {
    for (size_t b = 0; b < blocks; ++b) {
      fill_random_block(rng, type,
                        std::span(m.bytes).subspan(b * type.block_bytes, type.block_bytes),
                        std::span(m.decoded).subspan(b * type.block_elements,
                                                     type.block_elements));
    }
  }
  m.weight = {.type = type.type, .rows = rows, .cols = cols,
              .row_bytes = row_blocks * type.block_bytes, .data = m.bytes.data()};
  return m;
}

}  // namespace swarm::test
