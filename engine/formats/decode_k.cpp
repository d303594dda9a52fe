// Scalar decoding of the K types: 256 elements with 6-, 4- or 8-bit sub-block scales.
// Formulas: reference/engine.md section 3.3. For element i: n = i / 128, g = (i % 128) / 32,
// l = i % 32.
#include "engine/formats/block_codec.h"

namespace swarm::engine::formats {
namespace {

// scales[16] | qs[64] | d | dmin
void decode_q2_k(const uint8_t* b, float* out) {
  const uint8_t* qs = b + 16;
  const float d = load_f16(b + 80), dmin = load_f16(b + 82);
  for (int i = 0; i < 256; ++i) {
    const int n = i / 128, g = (i % 128) / 32, l = i % 32;
    const int q = (qs[32 * n + l] >> (2 * g)) & 3;
    const int scale = b[i / 16];
    out[i] = d * static_cast<float>(scale & 15) * static_cast<float>(q) -
             dmin * static_cast<float>(scale >> 4);
  }
}

// hmask[32] | qs[64] | scales[12] | d. Scale k of 16: low 4 bits in bytes 0..7, high 2 in 8..11.
void decode_q3_k(const uint8_t* b, float* out) {
  const uint8_t* qs = b + 32;
  const uint8_t* scales = b + 96;
  const float d = load_f16(b + 108);
  for (int i = 0; i < 256; ++i) {
    const int n = i / 128, g = (i % 128) / 32, l = i % 32, k = i / 16;
    const int low = k < 8 ? scales[k] & 15 : scales[k - 8] >> 4;
    const int high = (scales[8 + k % 4] >> (2 * (k / 4))) & 3;
    const bool set = ((b[l] >> (4 * n + g)) & 1) != 0;
    const int q = ((qs[32 * n + l] >> (2 * g)) & 3) - (set ? 0 : 4);
    out[i] = d * static_cast<float>((low | (high << 4)) - 32) * static_cast<float>(q);
  }
}

// d | dmin | scales[12] | qs[128]; Q5_K has qh[32] before qs.
template <bool kFiveBits>
void decode_q45_k(const uint8_t* b, float* out) {
  const float d = load_f16(b), dmin = load_f16(b + 2);
  const uint8_t* qh = b + 16;
  const uint8_t* qs = b + (kFiveBits ? 48 : 16);
  for (int j = 0; j < 8; ++j) {
    const ScaleMin sub = k_scale_min(b + 4, j);
    const float scale = d * static_cast<float>(sub.scale);
    const float min = dmin * static_cast<float>(sub.min);
    for (int l = 0; l < 32; ++l) {
      const int byte = qs[32 * (j / 2) + l];
      int q = j % 2 == 0 ? byte & 15 : byte >> 4;
      if constexpr (kFiveBits) q |= ((qh[l] >> j) & 1) << 4;
      out[32 * j + l] = scale * static_cast<float>(q) - min;
    }
  }
}

// ql[128] | qh[64] | scales[16] (signed) | d
void decode_q6_k(const uint8_t* b, float* out) {
  const float d = load_f16(b + 208);
  for (int i = 0; i < 256; ++i) {
    const int n = i / 128, g = (i % 128) / 32, l = i % 32;
    const int byte = b[64 * n + 32 * (g & 1) + l];
    const int low = g < 2 ? byte & 15 : byte >> 4;
    const int high = (b[128 + 32 * n + l] >> (2 * g)) & 3;
    const int q = (low | (high << 4)) - 32;
    out[i] = d * static_cast<float>(static_cast<int8_t>(b[192 + i / 16])) * static_cast<float>(q);
  }
}

// d (f32) | qs[256] | bsums[16]
void decode_q8_k(const uint8_t* b, float* out) {
  const auto d = load<float>(b);
  for (int i = 0; i < 256; ++i) out[i] = d * static_cast<float>(static_cast<int8_t>(b[4 + i]));
}

}  // namespace

DecodeBlock k_decoder(TensorType type) {
  switch (type) {
    case TensorType::q2_k: return decode_q2_k;
    case TensorType::q3_k: return decode_q3_k;
    case TensorType::q4_k: return decode_q45_k<false>;
    case TensorType::q5_k: return decode_q45_k<true>;
    case TensorType::q6_k: return decode_q6_k;
    case TensorType::q8_k: return decode_q8_k;
    default: return nullptr;
  }
}

}  // namespace swarm::engine::formats
