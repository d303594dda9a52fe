// engine/formats/block_codec.h — Private to formats: one decode and one encode function per block
// type, and unaligned little-endian loads. Pure functions, thread-safe.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "engine/formats/block_types.h"

namespace swarm::engine::formats {

static_assert(std::endian::native == std::endian::little, "GGUF data are used in place");

// Reads one block (block_bytes) and writes block_elements floats. Any bit pattern is acceptable.
using DecodeBlock = void (*)(const uint8_t* block, float* out);
// Reads block_elements finite floats and writes one block.
using EncodeBlock = void (*)(const float* values, uint8_t* block);

// nullptr when the type has none. One file per family; block_types.cpp asks them in turn.
DecodeBlock simple_decoder(TensorType type);
DecodeBlock k_decoder(TensorType type);
DecodeBlock iq_decoder(TensorType type);
EncodeBlock simple_encoder(TensorType type);
EncodeBlock k_encoder(TensorType type);
EncodeBlock iq_encoder(TensorType type);

template <class T>
T load(const uint8_t* from) {
  T value;
  std::memcpy(&value, from, sizeof value);
  return value;
}
template <class T>
void store(uint8_t* to, T value) {
  std::memcpy(to, &value, sizeof value);
}
inline float load_f16(const uint8_t* from) { return f16_to_f32(load<uint16_t>(from)); }

// The levels of IQ4_NL and IQ4_XS.
inline constexpr int8_t kIq4Levels[16] = {-127, -104, -83, -65, -49, -35, -22, -10,
                                          1,    13,   25,  38,  53,  69,  89,  113};

// Scale and minimum of sub-block j (0..7) of Q4_K and Q5_K: eight pairs of 6 bits in 12 bytes.
struct ScaleMin {
  uint8_t scale;
  uint8_t min;
};
inline ScaleMin k_scale_min(const uint8_t* scales, int j) {
  if (j < 4) {
    return {static_cast<uint8_t>(scales[j] & 63), static_cast<uint8_t>(scales[j + 4] & 63)};
  }
  return {static_cast<uint8_t>((scales[j + 4] & 15) | ((scales[j - 4] >> 6) << 4)),
          static_cast<uint8_t>((scales[j + 4] >> 4) | ((scales[j] >> 6) << 4))};
}

}  // namespace swarm::engine::formats
