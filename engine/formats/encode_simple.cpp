// Encoding of plain numbers and of types with one scale per block, bit for bit as the reference
// quantizers do it: reference/engine.md section 4. All arithmetic in f32; codes use the scale
// before it is rounded to f16.
#include <algorithm>
#include <cmath>

#include "engine/formats/block_codec.h"
#include "engine/formats/fp8.h"

namespace swarm::engine::formats {
namespace {

// 1 / d, or 0 where that is not a number to multiply with (empty or vanishing blocks).
float inverse(float d) {
  const float id = 1.0f / d;
  return d != 0.0f && std::isfinite(id) ? id : 0.0f;
}

// The element of largest magnitude, with its sign; the first one on ties.
float extreme(const float* x, int count) {
  float found = 0.0f;
  for (int i = 0; i < count; ++i)
    if (std::abs(x[i]) > std::abs(found)) found = x[i];
  return found;
}

// Elements 0..15 in the low nibbles, 16..31 in the high ones.
void store_nibbles(const int (&codes)[32], uint8_t* qs) {
  for (int i = 0; i < 16; ++i)
    qs[i] = static_cast<uint8_t>((codes[i] & 15) | ((codes[i + 16] & 15) << 4));
}

void store_fifth_bits(const int (&codes)[32], uint8_t* to) {
  uint32_t high = 0;
  for (int i = 0; i < 32; ++i) high |= static_cast<uint32_t>((codes[i] >> 4) & 1) << i;
  store(to, high);
}

void encode_f16(const float* x, uint8_t* b) { store(b, f32_to_f16(*x)); }
void encode_bf16(const float* x, uint8_t* b) { store(b, f32_to_bf16(*x)); }

// d = extreme / -(levels / 2); code = x / d + levels / 2, rounded, at most levels - 1.
void encode_symmetric(const float* x, int levels, int (&codes)[32], uint8_t* d_to) {
  const int half = levels / 2;
  const float d = extreme(x, 32) / static_cast<float>(-half);
  const float id = inverse(d);
  store(d_to, f32_to_f16(d));
  for (int i = 0; i < 32; ++i) {
    const float code = x[i] * id + (static_cast<float>(half) + 0.5f);
    codes[i] = std::min(levels - 1, static_cast<int>(code));
  }
}

// d = (max - min) / (levels - 1); code = (x - min) / d, rounded.
void encode_affine(const float* x, int levels, int (&codes)[32], uint8_t* d_to) {
  const auto [min, max] = std::minmax_element(x, x + 32);
  const float d = (*max - *min) / static_cast<float>(levels - 1);
  const float id = inverse(d);
  store(d_to, f32_to_f16(d));
  store(d_to + 2, f32_to_f16(*min));
  for (int i = 0; i < 32; ++i)
    codes[i] = std::min(levels - 1, static_cast<int>((x[i] - *min) * id + 0.5f));
}

void encode_q4_0(const float* x, uint8_t* b) {
  int codes[32];
  encode_symmetric(x, 16, codes, b);
  store_nibbles(codes, b + 2);
}

void encode_q5_0(const float* x, uint8_t* b) {
  int codes[32];
  encode_symmetric(x, 32, codes, b);
  store_fifth_bits(codes, b + 2);
  store_nibbles(codes, b + 6);
}

void encode_q4_1(const float* x, uint8_t* b) {
  int codes[32];
  encode_affine(x, 16, codes, b);
  store_nibbles(codes, b + 4);
}

void encode_q5_1(const float* x, uint8_t* b) {
  int codes[32];
  encode_affine(x, 32, codes, b);
  store_fifth_bits(codes, b + 4);
  store_nibbles(codes, b + 8);
}

// Returns d before rounding and the sum of the codes.
struct Q8 {
  float d;
  int sum;
};
Q8 encode_q8(const float* x, uint8_t* qs) {
  const float d = std::abs(extreme(x, 32)) / 127.0f;
  const float id = inverse(d);
  int sum = 0;
  for (int i = 0; i < 32; ++i) {
    const int code = static_cast<int>(std::round(x[i] * id));  // half away from zero
    sum += code;
    qs[i] = static_cast<uint8_t>(code);
  }
  return {d, sum};
}

void encode_q8_0(const float* x, uint8_t* b) { store(b, f32_to_f16(encode_q8(x, b + 2).d)); }

void encode_q8_1(const float* x, uint8_t* b) {
  const Q8 q = encode_q8(x, b + 4);
  store(b, f32_to_f16(q.d));
  store(b + 2, f32_to_f16(static_cast<float>(q.sum) * q.d));
}

// Nearest E2M1 magnitude of x; the smaller one on ties. Thresholds lie between the values
// 0 .5 1 1.5 2 3 4 6.
int e2m1_code(float x) {
  constexpr float kBetween[7] = {0.25f, 0.75f, 1.25f, 1.75f, 2.5f, 3.5f, 5.0f};
  int code = 0;
  while (code < 7 && std::abs(x) > kBetween[code]) ++code;
  return x < 0.0f && code > 0 ? code | 8 : code;
}

void encode_mxfp4(const float* x, uint8_t* b) {
  const float max = std::abs(extreme(x, 32));
  int e = 0;
  if (max > 0.0f) e = std::clamp(std::ilogb(max) - 2 + 127, 0, 254);
  b[0] = static_cast<uint8_t>(e);
  int codes[32];
  for (int i = 0; i < 32; ++i) codes[i] = e2m1_code(std::ldexp(x[i], 127 - e));
  store_nibbles(codes, b + 1);
}

// scale = max / 448; the codes are of x / scale.
void encode_fp8(const float* x, uint8_t* b) {
  const float scale = std::abs(extreme(x, 128)) / kE4m3Max;
  const float is = inverse(scale);
  store(b, scale);
  for (int i = 0; i < 128; ++i) b[4 + i] = f32_to_e4m3(x[i] * is);
}

}  // namespace

EncodeBlock simple_encoder(TensorType type) {
  switch (type) {
    case TensorType::f16: return encode_f16;
    case TensorType::bf16: return encode_bf16;
    case TensorType::q4_0: return encode_q4_0;
    case TensorType::q4_1: return encode_q4_1;
    case TensorType::q5_0: return encode_q5_0;
    case TensorType::q5_1: return encode_q5_1;
    case TensorType::q8_0: return encode_q8_0;
    case TensorType::q8_1: return encode_q8_1;
    case TensorType::mxfp4: return encode_mxfp4;
    case TensorType::fp8: return encode_fp8;
    default: return nullptr;
  }
}

}  // namespace swarm::engine::formats
