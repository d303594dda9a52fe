// Scalar decoding of plain numbers and of the 32- to 256-element types with one scale per block.
// Formulas: reference/engine.md section 3.2; i is the element index inside the block.
#include "engine/formats/block_codec.h"
#include "engine/formats/fp8.h"

#include <cmath>

namespace swarm::engine::formats {
namespace {

// Nibble of element i in 16 bytes: the first half of the block in the low nibbles.
int nibble(const uint8_t* qs, int i) { return i < 16 ? qs[i] & 15 : qs[i - 16] >> 4; }

// Fifth bit of element i, already shifted into place.
int fifth_bit(uint32_t high, int i) { return static_cast<int>((high >> i) & 1u) << 4; }

void decode_f16(const uint8_t* b, float* out) { *out = load_f16(b); }
void decode_bf16(const uint8_t* b, float* out) { *out = bf16_to_f32(load<uint16_t>(b)); }

template <class T>
void decode_number(const uint8_t* b, float* out) {
  *out = static_cast<float>(load<T>(b));
}

void decode_q4_0(const uint8_t* b, float* out) {
  const float d = load_f16(b);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(nibble(b + 2, i) - 8);
}

void decode_q4_1(const uint8_t* b, float* out) {
  const float d = load_f16(b), m = load_f16(b + 2);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(nibble(b + 4, i)) + m;
}

void decode_q5_0(const uint8_t* b, float* out) {
  const float d = load_f16(b);
  const auto high = load<uint32_t>(b + 2);
  for (int i = 0; i < 32; ++i)
    out[i] = d * static_cast<float>((nibble(b + 6, i) | fifth_bit(high, i)) - 16);
}

void decode_q5_1(const uint8_t* b, float* out) {
  const float d = load_f16(b), m = load_f16(b + 2);
  const auto high = load<uint32_t>(b + 4);
  for (int i = 0; i < 32; ++i)
    out[i] = d * static_cast<float>(nibble(b + 8, i) | fifth_bit(high, i)) + m;
}

void decode_q8_0(const uint8_t* b, float* out) {
  const float d = load_f16(b);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(static_cast<int8_t>(b[2 + i]));
}

void decode_q8_1(const uint8_t* b, float* out) {
  const float d = load_f16(b);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(static_cast<int8_t>(b[4 + i]));
}

void decode_iq4_nl(const uint8_t* b, float* out) {
  const float d = load_f16(b);
  for (int i = 0; i < 32; ++i) out[i] = d * static_cast<float>(kIq4Levels[nibble(b + 2, i)]);
}

constexpr float kE2m1[16] = {0.0f,  0.5f,  1.0f,  1.5f,  2.0f,  3.0f,  4.0f,  6.0f,
                             -0.0f, -0.5f, -1.0f, -1.5f, -2.0f, -3.0f, -4.0f, -6.0f};

void decode_fp8(const uint8_t* b, float* out) {
  const auto scale = load<float>(b);
  for (int i = 0; i < 128; ++i) out[i] = scale * e4m3_to_f32(b[4 + i]);
}

void decode_mxfp4(const uint8_t* b, float* out) {
  const float scale = std::ldexp(1.0f, int{b[0]} - 127);
  for (int i = 0; i < 32; ++i) out[i] = scale * kE2m1[nibble(b + 1, i)];
}

// Unsigned E4M3, bias 7: the top bit carries nothing; codes 0 and 0x7f read as 0.
float ue4m3(uint8_t code) {
  if (code == 0 || code == 0x7f) return 0.0f;
  const int exponent = (code >> 3) & 15, mantissa = code & 7;
  if (exponent == 0) return std::ldexp(static_cast<float>(mantissa), -9);
  return std::ldexp(static_cast<float>(8 + mantissa), exponent - 10);
}

// Four sub-blocks of 16 elements in 8 bytes each: low nibbles first.
void decode_nvfp4(const uint8_t* b, float* out) {
  for (int i = 0; i < 64; ++i) {
    const int s = i / 16, r = i % 16;
    const int byte = b[4 + 8 * s + r % 8];
    out[i] = ue4m3(b[s]) * kE2m1[r < 8 ? byte & 15 : byte >> 4];
  }
}

void decode_q1_0(const uint8_t* b, float* out) {
  const float d = load_f16(b);
  for (int i = 0; i < 128; ++i) out[i] = ((b[2 + i / 8] >> (i % 8)) & 1) != 0 ? d : -d;
}

void decode_q2_0(const uint8_t* b, float* out) {
  const float d = load_f16(b);
  for (int i = 0; i < 64; ++i)
    out[i] = d * static_cast<float>(((b[2 + i / 4] >> (2 * (i % 4))) & 3) - 1);
}

void decode_tq2_0(const uint8_t* b, float* out) {
  const float d = load_f16(b + 64);
  for (int i = 0; i < 256; ++i) {
    const int n = i / 128, r = i % 128;
    out[i] = d * static_cast<float>(((b[32 * n + r % 32] >> (2 * (r / 32))) & 3) - 1);
  }
}

// Five base-3 digits per byte, stored as a fraction: digit n of b is the carry of (b * 3^n) * 3.
// 48 bytes hold elements 0..239, the last 4 bytes (four digits each) the remaining 16.
void decode_tq1_0(const uint8_t* b, float* out) {
  constexpr int kPower[5] = {1, 3, 9, 27, 81};
  const float d = load_f16(b + 52);
  for (int i = 0; i < 256; ++i) {
    int byte = 0, n = 0;
    if (i < 160) {
      n = i / 32, byte = b[i % 32];
    } else if (i < 240) {
      n = (i - 160) / 16, byte = b[32 + (i - 160) % 16];
    } else {
      n = (i - 240) / 4, byte = b[48 + (i - 240) % 4];
    }
    const int t = (byte * kPower[n]) & 255;
    out[i] = d * static_cast<float>(((t * 3) >> 8) - 1);
  }
}

}  // namespace

DecodeBlock simple_decoder(TensorType type) {
  switch (type) {
    case TensorType::f32: return decode_number<float>;
    case TensorType::f16: return decode_f16;
    case TensorType::bf16: return decode_bf16;
    case TensorType::f64: return decode_number<double>;
    case TensorType::i8: return decode_number<int8_t>;
    case TensorType::i16: return decode_number<int16_t>;
    case TensorType::i32: return decode_number<int32_t>;
    case TensorType::i64: return decode_number<int64_t>;
    case TensorType::q4_0: return decode_q4_0;
    case TensorType::q4_1: return decode_q4_1;
    case TensorType::q5_0: return decode_q5_0;
    case TensorType::q5_1: return decode_q5_1;
    case TensorType::q8_0: return decode_q8_0;
    case TensorType::q8_1: return decode_q8_1;
    case TensorType::iq4_nl: return decode_iq4_nl;
    case TensorType::mxfp4: return decode_mxfp4;
    case TensorType::fp8: return decode_fp8;
    case TensorType::nvfp4: return decode_nvfp4;
    case TensorType::q1_0: return decode_q1_0;
    case TensorType::q2_0: return decode_q2_0;
    case TensorType::tq1_0: return decode_tq1_0;
    case TensorType::tq2_0: return decode_tq2_0;
    default: return nullptr;
  }
}

}  // namespace swarm::engine::formats
