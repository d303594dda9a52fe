// Scalar decoding of the IQ types: lattice codebooks with explicit or seven-bit signs, and IQ4_XS.
// Formulas: reference/engine.md sections 3.4 and 3.5. b = i / 32 is the group, l = (i % 32) / 8 the
// run of eight elements inside it.
#include <bit>

#include "engine/formats/block_codec.h"
#include "engine/formats/iq_codebooks.h"

namespace swarm::engine::formats {
namespace {

// Sign byte of a seven-bit index: the eighth sign makes the number of minus signs even.
uint32_t sign_byte(uint32_t s7) {
  return s7 | (static_cast<uint32_t>(std::popcount(s7) & 1) << 7);
}

float signed_value(float magnitude, uint32_t signs, int bit) {
  return ((signs >> bit) & 1u) != 0 ? -magnitude : magnitude;
}

int low_or_high(int byte, bool high) { return high ? byte >> 4 : byte & 15; }

// d | per group: 4 index bytes, u32 with four sign indices and a 4-bit scale
void decode_iq2_xxs(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  for (int b = 0; b < 8; ++b) {
    const uint8_t* group = block + 2 + 8 * b;
    const auto a = load<uint32_t>(group + 4);
    const float scale = d * (0.5f + static_cast<float>(a >> 28)) * 0.25f;
    for (int l = 0; l < 4; ++l) {
      const int8_t* point = iq2xxs_codebook()[group[l]].data();
      const uint32_t signs = sign_byte((a >> (7 * l)) & 127);
      for (int j = 0; j < 8; ++j)
        out[32 * b + 8 * l + j] = signed_value(scale * static_cast<float>(point[j]), signs, j);
    }
  }
}

// d | qs[32] (u16: 9-bit index, 7-bit signs) | scales[8]
void decode_iq2_xs(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  for (int k = 0; k < 32; ++k) {
    const uint32_t v = load<uint16_t>(block + 2 + 2 * k);
    const int s = low_or_high(block[66 + k / 4], k % 4 >= 2);
    const float scale = d * (0.5f + static_cast<float>(s)) * 0.25f;
    const int8_t* point = iq2xs_codebook()[v & 511].data();
    const uint32_t signs = sign_byte(v >> 9);
    for (int j = 0; j < 8; ++j)
      out[8 * k + j] = signed_value(scale * static_cast<float>(point[j]), signs, j);
  }
}

// d | qs[32] | signs[32] | qh[8] | scales[8]
void decode_iq2_s(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  for (int k = 0; k < 32; ++k) {
    const int b = k / 4, l = k % 4;
    const int index = block[2 + k] | (((block[66 + b] >> (2 * l)) & 3) << 8);
    const int s = low_or_high(block[74 + b], l >= 2);
    const float scale = d * (0.5f + static_cast<float>(s)) * 0.25f;
    const int8_t* point = iq2s_codebook()[static_cast<size_t>(index)].data();
    for (int j = 0; j < 8; ++j)
      out[8 * k + j] = signed_value(scale * static_cast<float>(point[j]), block[34 + k], j);
  }
}

// d | qs[64] | sas[8] (u32: four sign indices and a 4-bit scale)
void decode_iq3_xxs(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  for (int k = 0; k < 64; ++k) {
    const int b = k / 8, l = (k % 8) / 2;
    const auto a = load<uint32_t>(block + 66 + 4 * b);
    const float scale = d * (0.5f + static_cast<float>(a >> 28)) * 0.5f;
    const int8_t* point = iq3xxs_codebook()[block[2 + k]].data();
    const uint32_t signs = sign_byte((a >> (7 * l)) & 127);
    for (int j = 0; j < 4; ++j)
      out[4 * k + j] =
          signed_value(scale * static_cast<float>(point[j]), signs, 4 * (k % 2) + j);
  }
}

// d | qs[64] | qh[8] | signs[32] | scales[4]
void decode_iq3_s(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  for (int k = 0; k < 64; ++k) {
    const int b = k / 8;
    const int index = block[2 + k] | (((block[66 + b] >> (k % 8)) & 1) << 8);
    const int s = low_or_high(block[106 + b / 2], b % 2 == 1);
    const float scale = d * static_cast<float>(1 + 2 * s);
    const int8_t* point = iq3s_codebook()[static_cast<size_t>(index)].data();
    for (int j = 0; j < 4; ++j)
      out[4 * k + j] = signed_value(scale * static_cast<float>(point[j]), block[74 + k / 2],
                                    4 * (k % 2) + j);
  }
}

constexpr float kIq1Delta = 0.125f;

// d | qs[32] | qh[8] (u16: four 3-bit index tops, 3-bit scale, sign of delta)
void decode_iq1_s(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  for (int b = 0; b < 8; ++b) {
    const int q = load<uint16_t>(block + 34 + 2 * b);
    const float scale = d * static_cast<float>(2 * ((q >> 12) & 7) + 1);
    const float delta = (q & 0x8000) != 0 ? -kIq1Delta : kIq1Delta;
    for (int l = 0; l < 4; ++l) {
      const int index = block[2 + 4 * b + l] | (((q >> (3 * l)) & 7) << 8);
      const int8_t* point = iq1s_codebook()[static_cast<size_t>(index)].data();
      for (int j = 0; j < 8; ++j)
        out[32 * b + 8 * l + j] = scale * (static_cast<float>(point[j]) + delta);
    }
  }
}

// qs[32] | qh[16] | scales[8]: four u16 whose top nibbles form the f16 d
void decode_iq1_m(const uint8_t* block, float* out) {
  int s[4];
  for (int n = 0; n < 4; ++n) s[n] = load<uint16_t>(block + 48 + 2 * n);
  const float d = f16_to_f32(static_cast<uint16_t>((s[0] >> 12) | ((s[1] >> 12) << 4) |
                                                   ((s[2] >> 12) << 8) | ((s[3] >> 12) << 12)));
  for (int k = 0; k < 32; ++k) {
    const int b = k / 4, l = k % 4;
    const int h = low_or_high(block[32 + k / 2], l % 2 == 1);
    const int index = block[k] | ((h & 7) << 8);
    const int scale_bits = (s[b / 2] >> (6 * (b % 2) + 3 * (l / 2))) & 7;
    const float scale = d * static_cast<float>(2 * scale_bits + 1);
    const float delta = (h & 8) != 0 ? -kIq1Delta : kIq1Delta;
    const int8_t* point = iq1s_codebook()[static_cast<size_t>(index)].data();
    for (int j = 0; j < 8; ++j) out[8 * k + j] = scale * (static_cast<float>(point[j]) + delta);
  }
}

// d | scales_h (u16) | scales_l[4] | qs[128]
void decode_iq4_xs(const uint8_t* block, float* out) {
  const float d = load_f16(block);
  const int scales_h = load<uint16_t>(block + 2);
  for (int b = 0; b < 8; ++b) {
    const int low = (block[4 + b / 2] >> (4 * (b & 1))) & 15;
    const int scale_bits = low | (((scales_h >> (2 * b)) & 3) << 4);
    const float scale = d * static_cast<float>(scale_bits - 32);
    for (int l = 0; l < 32; ++l) {
      const int nibble = low_or_high(block[8 + 16 * b + l % 16], l >= 16);
      out[32 * b + l] = scale * static_cast<float>(kIq4Levels[nibble]);
    }
  }
}

}  // namespace

DecodeBlock iq_decoder(TensorType type) {
  switch (type) {
    case TensorType::iq2_xxs: return decode_iq2_xxs;
    case TensorType::iq2_xs: return decode_iq2_xs;
    case TensorType::iq2_s: return decode_iq2_s;
    case TensorType::iq3_xxs: return decode_iq3_xxs;
    case TensorType::iq3_s: return decode_iq3_s;
    case TensorType::iq1_s: return decode_iq1_s;
    case TensorType::iq1_m: return decode_iq1_m;
    case TensorType::iq4_xs: return decode_iq4_xs;
    default: return nullptr;
  }
}

}  // namespace swarm::engine::formats
