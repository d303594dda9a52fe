#include "engine/model/synth_blocks.h"

#include <algorithm>
#include <cstring>
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

bool has_direct(TensorType type) {
  return type == TensorType::q4_k || type == TensorType::q5_k || type == TensorType::q6_k;
}

}  // namespace

std::vector<std::byte> random_tensor(TensorType type, uint64_t elements, Bell bell,
                                     SynthBlocks blocks, Rng& rng) {
  const formats::BlockType* block_type = formats::find_block_type(type);
  SWARM_CHECK(block_type != nullptr);
  SWARM_CHECK(elements % block_type->block_elements == 0, elements, block_type->name);
  if (blocks == SynthBlocks::encoded || !has_direct(type))
    return encode(*block_type, elements, bell, rng);
  std::vector<std::byte> data(elements / block_type->block_elements * block_type->block_bytes);
  for (size_t at = 0; at < data.size(); at += block_type->block_bytes) {
    const auto block = std::span(data).subspan(at, block_type->block_bytes);
    if (type == TensorType::q6_k) {
      random_q6_k(bell.std_dev, rng, block);
    } else {
      random_q45_k(type, bell.std_dev, rng, block);
    }
  }
  return data;
}

}  // namespace swarm::engine::model
