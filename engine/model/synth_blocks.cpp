#include "engine/model/synth_blocks.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <optional>
#include <span>

#include "engine/base/check.h"

namespace swarm::engine::model {
namespace {

using formats::TensorType;

// Sum of four 16-bit uniforms: close enough to a bell, and exact. Mean 131070, standard deviation
// sqrt(4 * (65536^2 - 1) / 12) = 37837.2.
float bell_value(Rng& rng, Bell bell) {
  const uint64_t word = rng.next();
  const auto sum = static_cast<int32_t>((word & 0xffff) + ((word >> 16) & 0xffff) +
                                        ((word >> 32) & 0xffff) + (word >> 48));
  return bell.mean + bell.std_dev * (static_cast<float>(sum - 131070) * (1.0f / 37837.2f));
}

std::vector<std::byte> encode(const formats::BlockType& type, uint64_t elements, Bell bell,
                              Rng& rng) {
  constexpr uint64_t kChunk = 1 << 14;  // a multiple of every block size
  std::vector<std::byte> data(elements / type.block_elements * type.block_bytes);
  std::vector<float> values(std::min(kChunk, elements));
  size_t written = 0;
  for (uint64_t done = 0; done < elements; done += values.size()) {
    values.resize(std::min<uint64_t>(values.size(), elements - done));
    for (float& value : values) value = bell_value(rng, bell);
    const size_t bytes = values.size() / type.block_elements * type.block_bytes;
    const auto encoded =
        formats::quantize(type.type, values, std::span(data).subspan(written, bytes));
    SWARM_CHECK(encoded.has_value(), type.name);
    written += bytes;
  }
  return data;
}

void store_f16(std::byte* to, float value) {
  const uint16_t bits = formats::f32_to_f16(value);
  std::memcpy(to, &bits, sizeof bits);
}

// Twelve bytes that give every sub-block a scale in 32..63 and a minimum equal to it: the low four
// bytes hold 6-bit scales and the upper two bits of pairs 4..7, and so on (engine.md section 3.3).
void random_k_scales(Rng& rng, std::byte* to) {
  const uint64_t word = rng.next();
  for (int j = 0; j < 4; ++j) {
    const unsigned low = 32 + ((word >> (5 * j)) & 31);         // pair j
    const unsigned high = 32 + ((word >> (20 + 5 * j)) & 31);   // pair j + 4
    to[j] = to[j + 4] = static_cast<std::byte>(low | ((high >> 4) << 6));
    to[j + 8] = static_cast<std::byte>((high & 15) | ((high & 15) << 4));
  }
}

void random_bytes(Rng& rng, std::span<std::byte> out) {
  while (!out.empty()) {
    const uint64_t word = rng.next();
    const size_t count = std::min(out.size(), sizeof word);
    std::memcpy(out.data(), &word, count);
    out = out.subspan(count);
  }
}

// Codes are uniform in 0..2^bits - 1, minus their middle: spread = 2^bits / sqrt(12). Scales are
// uniform in 32..63: root mean square 48.4.
constexpr float kScaleRms = 48.4f;

void random_q45_k(TensorType type, float std_dev, Rng& rng, std::span<std::byte> block) {
  const float levels = type == TensorType::q4_k ? 16.0f : 32.0f;
  const float d = std_dev / (kScaleRms * levels / 3.4641016f);
  store_f16(block.data(), d);
  store_f16(block.data() + 2, d * (levels - 1.0f) * 0.5f);
  random_k_scales(rng, block.data() + 4);
  random_bytes(rng, block.subspan(16));
}

void random_q6_k(float std_dev, Rng& rng, std::span<std::byte> block) {
  random_bytes(rng, block.first(192));
  for (size_t k = 0; k < 16; ++k) {
    const uint64_t word = rng.next();
    const auto scale = static_cast<int>(32 + (word & 31));
    block[192 + k] = static_cast<std::byte>((word & 32) != 0 ? scale : -scale);
  }
  store_f16(block.data() + 208, std_dev / (kScaleRms * 64.0f / 3.4641016f));
}

// Where the f16 factor of a block of random codes is; nullopt: not that kind of type.
std::optional<size_t> factor_at(TensorType type) {
  using enum TensorType;
  switch (type) {
    case q4_0: case q5_0: case q8_0: case iq2_xxs: case iq2_xs: case iq2_s: case iq3_xxs:
    case iq3_s: case iq4_nl: case iq4_xs: return 0;
    case q3_k: return 108;
    default: return std::nullopt;
  }
}

// Any bits are valid codes; then the factors. A sign at random takes the mean of codes that are
// not symmetric away; types with a minimum have it in the middle of their codes.
void random_block(TensorType type, float factor, Rng& rng, std::span<std::byte> block) {
  random_bytes(rng, block);
  const float sign = (rng.next() & 1) != 0 ? 1.0f : -1.0f;
  if (const auto at = factor_at(type)) {
    store_f16(block.data() + *at, sign * factor);
  } else if (type == TensorType::q4_1 || type == TensorType::q5_1) {
    store_f16(block.data(), factor);
    store_f16(block.data() + 2, factor * (type == TensorType::q4_1 ? -7.5f : -15.5f));
  } else if (type == TensorType::q2_k) {
    for (std::byte& scale : block.first(16)) {
      const auto low = (scale & std::byte{7}) | std::byte{8};
      scale = low | (low << 4);
    }
    store_f16(block.data() + 80, factor);
    store_f16(block.data() + 82, factor * 1.5f);
  } else if (type == TensorType::fp8) {
    std::memcpy(block.data(), &factor, sizeof factor);
    for (std::byte& code : block.subspan(sizeof factor)) {
      if ((code & std::byte{127}) == std::byte{127}) code ^= std::byte{1};   // NaN
    }
  } else {
    // MXFP4: the power of two below or above, so often that the spread is right on average.
    SWARM_CHECK(type == TensorType::mxfp4);
    const int exponent = std::ilogb(factor);
    const float ratio = std::ldexp(factor, -exponent);                      // in [1, 2)
    const bool above = 3.0 * rng.uniform() < double{ratio} * double{ratio} - 1.0;
    block[0] = static_cast<std::byte>(exponent + (above ? 1 : 0) + 127);
  }
}

// The spread of a type's random blocks with factor one.
double unit_spread(const formats::BlockType& type) {
  constexpr int kBlocks = 1024;
  Rng rng(1);
  std::vector<std::byte> block(type.block_bytes);
  std::vector<float> values(type.block_elements);
  double squares = 0;
  for (int i = 0; i < kBlocks; ++i) {
    random_block(type.type, 1.0f, rng, block);
    SWARM_CHECK(formats::dequantize(type.type, block, values).has_value());
    for (const float value : values) squares += double{value} * value;
  }
  return std::sqrt(squares / (kBlocks * static_cast<double>(type.block_elements)));
}

// Four values of every random word, evenly spread over +- sqrt(3) standard deviations.
void random_halves(TensorType type, Bell bell, Rng& rng, std::span<std::byte> out) {
  const float step = bell.std_dev * 1.7320508f / 32768.0f;
  uint64_t word = 0;
  for (size_t at = 0; at < out.size(); at += 2, word >>= 16) {
    if (at % 8 == 0) word = rng.next();
    const auto whole = static_cast<int16_t>(word & 0xffff);
    const float value = bell.mean + step * (static_cast<float>(whole) + 0.5f);
    const uint16_t bits =
        type == TensorType::f16 ? formats::f32_to_f16(value) : formats::f32_to_bf16(value);
    std::memcpy(out.data() + at, &bits, sizeof bits);
  }
}

bool is_half(TensorType type) { return type == TensorType::f16 || type == TensorType::bf16; }

void random_blocks(const formats::BlockType& type, Bell bell, Rng& rng,
                   std::span<std::byte> data) {
  const bool own = type.type == TensorType::q4_k || type.type == TensorType::q5_k ||
                   type.type == TensorType::q6_k;
  const auto factor = own ? 0.0f : static_cast<float>(bell.std_dev / unit_spread(type));
  for (size_t at = 0; at < data.size(); at += type.block_bytes) {
    const auto block = data.subspan(at, type.block_bytes);
    if (!own) {
      random_block(type.type, factor, rng, block);
    } else if (type.type == TensorType::q6_k) {
      random_q6_k(bell.std_dev, rng, block);
    } else {
      random_q45_k(type.type, bell.std_dev, rng, block);
    }
  }
}

}  // namespace

std::vector<std::byte> random_tensor(TensorType type, uint64_t elements, Bell bell,
                                     SynthBlocks blocks, Rng& rng) {
  const formats::BlockType* block_type = formats::find_block_type(type);
  SWARM_CHECK(block_type != nullptr);
  SWARM_CHECK(elements % block_type->block_elements == 0, elements, block_type->name);
  if (blocks == SynthBlocks::encoded || type == TensorType::f32)
    return encode(*block_type, elements, bell, rng);
  std::vector<std::byte> data(elements / block_type->block_elements * block_type->block_bytes);
  if (is_half(type)) {
    random_halves(type, bell, rng, data);
  } else {
    random_blocks(*block_type, bell, rng, data);
  }
  return data;
}

}  // namespace swarm::engine::model
