// Encoding of Q2_K to Q6_K and Q8_K: least-squares searches over candidate scales, our own
// design; any result decodes correctly, quality is tested as RMSE against the reference quantizers.
// Order of work for one block of 256: fit every sub-block alone in f32; quantize the fitted scales
// to the block's integers; choose codes again for the scales that are really stored; improve the
// f16 factors by least squares over all codes; keep the best state seen.
#include <algorithm>
#include <cmath>
#include <type_traits>

#include "engine/formats/block_codec.h"

namespace swarm::engine::formats {
namespace {

constexpr int kRefinements = 3;   // rounds of "new factors, new codes"; later ones gain nothing
constexpr float kF16Max = 65504.0f;

float to_f16_and_back(float x) { return f16_to_f32(f32_to_f16(std::clamp(x, -kF16Max, kF16Max))); }

int round_to(float x, int low, int high) {
  // clamp first: the cast of a float outside int is undefined
  return static_cast<int>(
      std::nearbyint(std::clamp(x, static_cast<float>(low), static_cast<float>(high))));
}

// Four floats at a time (a GCC and Clang extension): the compiler may not reorder float sums on its
// own, and the searches below visit every weight several hundred times.
using Float4 = float __attribute__((vector_size(16)));

Float4 load4(const float* from) { return load<Float4>(reinterpret_cast<const uint8_t*>(from)); }
void store4(float* to, Float4 values) { store(reinterpret_cast<uint8_t*>(to), values); }
Float4 all4(float value) { return Float4{value, value, value, value}; }
float total(Float4 v) { return (v[0] + v[2]) + (v[1] + v[3]); }

// Nearest integer, ties to even, for |x| < 2^22: the sum has no bits left for a fraction.
Float4 nearest(Float4 x) {
  const Float4 shift = all4(12582912.0f);  // 1.5 * 2^23
  return (x + shift) - shift;
}

// Also turns NaN (0 * infinity, where a scale vanishes) into low.
Float4 bounded(Float4 x, Float4 low, Float4 high) {
  x = x > low ? x : low;
  return x < high ? x : high;
}

// ---- Q2_K, Q4_K, Q5_K: w = d * sc * q - dmin * mn, q in 0..levels - 1, sc and mn from 0 ----

struct Q2Shape {
  static constexpr int kSize = 16, kCount = 16;   // of a sub-block, of sub-blocks
  static constexpr int kLevels = 4, kScaleMax = 15;
};
struct Q4Shape {
  static constexpr int kSize = 32, kCount = 8;
  static constexpr int kLevels = 16, kScaleMax = 63;
};
struct Q5Shape {
  static constexpr int kSize = 32, kCount = 8;
  static constexpr int kLevels = 32, kScaleMax = 63;
};

struct AffineFit {
  float scale = 0.0f;   // >= 0
  float min = 0.0f;     // >= 0, subtracted
};

// Best scale and min for given codes: the 2 x 2 normal equations, with min held at >= 0.
template <class Shape>
AffineFit solve_affine(const float* x, const float* q) {
  constexpr auto kSize = static_cast<float>(Shape::kSize);
  Float4 x_sum{}, q_sum{}, qq_sum{}, xq_sum{};
  for (int l = 0; l < Shape::kSize; l += 4) {
    const Float4 value = load4(x + l), code = load4(q + l);
    x_sum += value;
    q_sum += code;
    qq_sum += code * code;
    xq_sum += value * code;
  }
  const float sum_x = total(x_sum), sum_q = total(q_sum);
  const float sum_qq = total(qq_sum), sum_xq = total(xq_sum);
  const float determinant = kSize * sum_qq - sum_q * sum_q;
  if (determinant > 0.0f) {
    const AffineFit fit{.scale = (kSize * sum_xq - sum_x * sum_q) / determinant,
                        .min = (sum_q * sum_xq - sum_x * sum_qq) / determinant};
    if (fit.min >= 0.0f && fit.scale >= 0.0f) return fit;
  }
  return {.scale = sum_qq > 0.0f ? std::max(sum_xq / sum_qq, 0.0f) : 0.0f, .min = 0.0f};
}

// Chooses codes for fixed scale and min; returns the squared error.
template <class Shape>
float choose_affine_codes(const float* x, AffineFit fit, float* q) {
  const Float4 scale = all4(fit.scale), min = all4(fit.min);
  const Float4 inverse = all4(fit.scale > 0.0f ? 1.0f / fit.scale : 0.0f);
  const Float4 top = all4(static_cast<float>(Shape::kLevels - 1));
  Float4 error{};
  for (int l = 0; l < Shape::kSize; l += 4) {
    const Float4 value = load4(x + l);
    const Float4 code = nearest(bounded((value + min) * inverse, Float4{}, top));
    const Float4 difference = scale * code - min - value;
    store4(q + l, code);
    error += difference * difference;
  }
  return total(error);
}

template <class Shape>
AffineFit fit_affine(const float* x) {
  const float low = std::min(*std::min_element(x, x + Shape::kSize), 0.0f);
  const float high = *std::max_element(x, x + Shape::kSize);
  AffineFit best{.scale = 0.0f, .min = -low};
  if (high - low < 1e-30f) return best;
  float q[Shape::kSize];
  float best_error = choose_affine_codes<Shape>(x, best, q);
  // Grids a little coarser and finer than the one that just covers the range.
  for (int step = -12; step <= 10; ++step) {
    const float steps = static_cast<float>(Shape::kLevels - 1) + 0.1f * static_cast<float>(step);
    AffineFit fit{.scale = (high - low) / steps, .min = -low};
    choose_affine_codes<Shape>(x, fit, q);
    fit = solve_affine<Shape>(x, q);
    const float error = choose_affine_codes<Shape>(x, fit, q);
    if (error < best_error) best = fit, best_error = error;
  }
  return best;
}

struct AffineBlock {
  float d = 0.0f, dmin = 0.0f;         // values an f16 can hold
  int scales[16] = {}, mins[16] = {};  // 0..kScaleMax
  float q[256] = {};
  float error = 0.0f;
};

// For the stored factors: the best pair of neighbouring integers and codes of every sub-block.
template <class Shape>
void choose_sub_blocks(const float* x, const AffineFit* wanted, AffineBlock& block) {
  block.error = 0.0f;
  constexpr int kMax = Shape::kScaleMax, kSize = Shape::kSize;
  for (int j = 0; j < Shape::kCount; ++j) {
    const float scale = block.d > 0.0f ? wanted[j].scale / block.d : 0.0f;
    const float min = block.dmin > 0.0f ? wanted[j].min / block.dmin : 0.0f;
    const int scale_0 = round_to(scale, 0, kMax), min_0 = round_to(min, 0, kMax);
    float best = INFINITY;
    for (int sc = std::max(scale_0 - 1, 0); sc <= std::min(scale_0 + 1, kMax); ++sc) {
      for (int mn = std::max(min_0 - 1, 0); mn <= std::min(min_0 + 1, kMax); ++mn) {
        const AffineFit fit{.scale = block.d * static_cast<float>(sc),
                            .min = block.dmin * static_cast<float>(mn)};
        float q[kSize];
        const float error = choose_affine_codes<Shape>(x + kSize * j, fit, q);
        if (!(error < best)) continue;
        best = error;
        block.scales[j] = sc;
        block.mins[j] = mn;
        std::copy_n(q, kSize, block.q + kSize * j);
      }
    }
    block.error += best;
  }
}

// New d and dmin for all codes of the block: least squares over x = d * (sc q) - dmin * mn.
template <class Shape>
void solve_factors(const float* x, AffineBlock& block) {
  double aa = 0, ab = 0, bb = 0, xa = 0, xb = 0;
  for (int i = 0; i < 256; ++i) {
    const double a = static_cast<double>(block.scales[i / Shape::kSize]) * block.q[i];
    const double b = -static_cast<double>(block.mins[i / Shape::kSize]);
    aa += a * a;
    ab += a * b;
    bb += b * b;
    xa += a * x[i];
    xb += b * x[i];
  }
  const double determinant = aa * bb - ab * ab;
  if (determinant > 1e-9 * aa * bb) {
    const double d = (xa * bb - xb * ab) / determinant, dmin = (xb * aa - xa * ab) / determinant;
    if (d >= 0.0 && dmin >= 0.0) {
      block.d = to_f16_and_back(static_cast<float>(d));
      block.dmin = to_f16_and_back(static_cast<float>(dmin));
    }
  } else if (bb == 0.0 && aa > 0.0 && xa > 0.0) {
    block.d = to_f16_and_back(static_cast<float>(xa / aa));
  }
}

template <class Shape>
AffineBlock encode_affine_block(const float* x) {
  AffineFit fits[Shape::kCount];
  float scale_max = 0.0f, min_max = 0.0f;
  for (int j = 0; j < Shape::kCount; ++j) {
    fits[j] = fit_affine<Shape>(x + Shape::kSize * j);
    scale_max = std::max(scale_max, fits[j].scale);
    min_max = std::max(min_max, fits[j].min);
  }
  AffineBlock block;
  block.d = to_f16_and_back(scale_max / static_cast<float>(Shape::kScaleMax));
  block.dmin = to_f16_and_back(min_max / static_cast<float>(Shape::kScaleMax));
  choose_sub_blocks<Shape>(x, fits, block);
  AffineBlock best = block;
  for (int round = 0; round < kRefinements; ++round) {
    solve_factors<Shape>(x, block);
    choose_sub_blocks<Shape>(x, fits, block);
    if (!(block.error < best.error)) break;
    best = block;
  }
  return best;
}

void store_scale_min(const AffineBlock& block, uint8_t* scales) {
  std::fill_n(scales, 12, uint8_t{0});
  for (int j = 0; j < 8; ++j) {
    const int sc = block.scales[j], mn = block.mins[j];
    if (j < 4) {
      scales[j] = static_cast<uint8_t>(scales[j] | sc);
      scales[j + 4] = static_cast<uint8_t>(scales[j + 4] | mn);
    } else {
      scales[j + 4] = static_cast<uint8_t>((sc & 15) | ((mn & 15) << 4));
      scales[j - 4] = static_cast<uint8_t>(scales[j - 4] | ((sc >> 4) << 6));
      scales[j] = static_cast<uint8_t>(scales[j] | ((mn >> 4) << 6));
    }
  }
}

// Q4_K: d | dmin | scales[12] | qs[128]; Q5_K has qh[32] before qs.
template <bool kFiveBits>
void encode_q45_k(const float* x, uint8_t* b) {
  const AffineBlock block = encode_affine_block<std::conditional_t<kFiveBits, Q5Shape, Q4Shape>>(x);
  store(b, f32_to_f16(block.d));
  store(b + 2, f32_to_f16(block.dmin));
  store_scale_min(block, b + 4);
  uint8_t* qs = b + (kFiveBits ? 48 : 16);
  std::fill_n(b + 16, kFiveBits ? 160 : 128, uint8_t{0});
  for (int i = 0; i < 256; ++i) {
    const int j = i / 32, l = i % 32, q = static_cast<int>(block.q[i]);
    uint8_t& byte = qs[32 * (j / 2) + l];
    byte = static_cast<uint8_t>(byte | ((q & 15) << (4 * (j % 2))));
    if constexpr (kFiveBits) b[16 + l] = static_cast<uint8_t>(b[16 + l] | ((q >> 4) << j));
  }
}

// scales[16] (sc | mn << 4) | qs[64] | d | dmin
void encode_q2_k(const float* x, uint8_t* b) {
  const AffineBlock block = encode_affine_block<Q2Shape>(x);
  for (int k = 0; k < 16; ++k) b[k] = static_cast<uint8_t>(block.scales[k] | block.mins[k] << 4);
  std::fill_n(b + 16, 64, uint8_t{0});
  for (int i = 0; i < 256; ++i) {
    uint8_t& byte = b[16 + 32 * (i / 128) + i % 32];
    byte = static_cast<uint8_t>(byte | static_cast<int>(block.q[i]) << (2 * (i % 128 / 32)));
  }
  store(b + 80, f32_to_f16(block.d));
  store(b + 82, f32_to_f16(block.dmin));
}

// ---- Q3_K, Q6_K: w = d * sc * q, sub-blocks of 16, q in -kHalf..kHalf - 1, sc alike ----

struct Q3Shape {
  static constexpr int kHalf = 4, kScaleHalf = 32;
};
struct Q6Shape {
  static constexpr int kHalf = 32, kScaleHalf = 128;
};

template <class Shape>
float choose_signed_codes(const float* x, float scale, float* q) {
  constexpr auto kHalf = static_cast<float>(Shape::kHalf);
  const float reciprocal = 1.0f / scale;
  const bool usable = scale != 0.0f && std::isfinite(reciprocal);
  const Float4 inverse = all4(usable ? reciprocal : 0.0f), scale4 = all4(scale);
  Float4 error{};
  for (int l = 0; l < 16; l += 4) {
    const Float4 value = load4(x + l);
    const Float4 code = nearest(bounded(value * inverse, all4(-kHalf), all4(kHalf - 1.0f)));
    const Float4 difference = scale4 * code - value;
    store4(q + l, code);
    error += difference * difference;
  }
  return total(error);
}

// The scale that fits given codes best.
float solve_signed(const float* x, const float* q, float otherwise) {
  Float4 xq{}, qq{};
  for (int l = 0; l < 16; l += 4) {
    const Float4 code = load4(q + l);
    xq += load4(x + l) * code;
    qq += code * code;
  }
  const float sum_qq = total(qq);
  return sum_qq > 0.0f ? total(xq) / sum_qq : otherwise;
}

template <class Shape>
float fit_signed(const float* x) {
  float extreme = 0.0f;
  for (int l = 0; l < 16; ++l)
    if (std::abs(x[l]) > std::abs(extreme)) extreme = x[l];
  if (std::abs(extreme) < 1e-30f) return 0.0f;
  float best = 0.0f, best_error = INFINITY, q[16];
  for (int step = -12; step <= 12; ++step) {
    // The negative side has one level more, so the extreme goes there.
    const float steps = static_cast<float>(Shape::kHalf) + 0.1f * static_cast<float>(step);
    float scale = -extreme / steps;
    choose_signed_codes<Shape>(x, scale, q);
    scale = solve_signed(x, q, scale);
    const float error = choose_signed_codes<Shape>(x, scale, q);
    if (error < best_error) best = scale, best_error = error;
  }
  return best;
}

struct SignedBlock {
  float d = 0.0f;
  int scales[16] = {};
  float q[256] = {};
  float error = 0.0f;
};

template <class Shape>
void choose_sub_blocks(const float* x, const float* wanted, SignedBlock& block) {
  constexpr int kLow = -Shape::kScaleHalf, kHigh = Shape::kScaleHalf - 1;
  block.error = 0.0f;
  for (int k = 0; k < 16; ++k) {
    const float scale = block.d != 0.0f ? wanted[k] / block.d : 0.0f;
    const int scale_0 = round_to(scale, kLow, kHigh);
    float best = INFINITY;
    for (int sc = std::max(scale_0 - 1, kLow); sc <= std::min(scale_0 + 1, kHigh); ++sc) {
      float q[16];
      const float step = block.d * static_cast<float>(sc);
      const float error = choose_signed_codes<Shape>(x + 16 * k, step, q);
      if (!(error < best)) continue;
      best = error;
      block.scales[k] = sc;
      std::copy_n(q, 16, block.q + 16 * k);
    }
    block.error += best;
  }
}

template <class Shape>
SignedBlock encode_signed_block(const float* x) {
  float fits[16], extreme = 0.0f;
  for (int k = 0; k < 16; ++k) {
    fits[k] = fit_signed<Shape>(x + 16 * k);
    if (std::abs(fits[k]) > std::abs(extreme)) extreme = fits[k];
  }
  SignedBlock block;
  block.d = to_f16_and_back(extreme / static_cast<float>(-Shape::kScaleHalf));
  choose_sub_blocks<Shape>(x, fits, block);
  SignedBlock best = block;
  for (int round = 0; round < kRefinements; ++round) {
    double xa = 0.0, aa = 0.0;
    for (int i = 0; i < 256; ++i) {
      const double a = static_cast<double>(block.scales[i / 16]) * block.q[i];
      xa += a * x[i];
      aa += a * a;
    }
    if (aa == 0.0) break;
    block.d = to_f16_and_back(static_cast<float>(xa / aa));
    choose_sub_blocks<Shape>(x, fits, block);
    if (!(block.error < best.error)) break;
    best = block;
  }
  return best;
}

// ql[128] | qh[64] | scales[16] | d
void encode_q6_k(const float* x, uint8_t* b) {
  const SignedBlock block = encode_signed_block<Q6Shape>(x);
  std::fill_n(b, 192, uint8_t{0});
  for (int k = 0; k < 16; ++k) b[192 + k] = static_cast<uint8_t>(block.scales[k]);
  store(b + 208, f32_to_f16(block.d));
  for (int i = 0; i < 256; ++i) {
    const int n = i / 128, g = (i % 128) / 32, l = i % 32;
    const int q = static_cast<int>(block.q[i]) + 32;
    uint8_t& low = b[64 * n + 32 * (g & 1) + l];
    uint8_t& high = b[128 + 32 * n + l];
    low = static_cast<uint8_t>(low | ((q & 15) << (g < 2 ? 0 : 4)));
    high = static_cast<uint8_t>(high | ((q >> 4) << (2 * g)));
  }
}

// hmask[32] | qs[64] | scales[12] | d
void encode_q3_k(const float* x, uint8_t* b) {
  const SignedBlock block = encode_signed_block<Q3Shape>(x);
  std::fill_n(b, 108, uint8_t{0});
  store(b + 108, f32_to_f16(block.d));
  const auto put = [](uint8_t& byte, int bits, int shift) {
    byte = static_cast<uint8_t>(byte | bits << shift);
  };
  for (int k = 0; k < 16; ++k) {
    const int sc = block.scales[k] + 32;
    put(b[96 + k % 8], sc & 15, k < 8 ? 0 : 4);
    put(b[104 + k % 4], sc >> 4, 2 * (k / 4));
  }
  for (int i = 0; i < 256; ++i) {
    const int n = i / 128, g = i % 128 / 32, l = i % 32;
    const int q = static_cast<int>(block.q[i]) + 4;
    put(b[32 + 32 * n + l], q & 3, 2 * g);
    put(b[l], q >> 2, 4 * n + g);
  }
}

// ---- Q8_K (activations): d (f32) | qs[256] | bsums[16], bit for bit as the reference ----

void encode_q8_k(const float* x, uint8_t* b) {
  float extreme = 0.0f;
  for (int i = 0; i < 256; ++i)
    if (std::abs(x[i]) > std::abs(extreme)) extreme = x[i];
  const float inverse = -127.0f / extreme;
  std::fill_n(b, 292, uint8_t{0});
  if (extreme == 0.0f || !std::isfinite(inverse)) return;
  store(b, 1.0f / inverse);
  for (int k = 0; k < 16; ++k) {
    int16_t sum = 0;
    for (int i = 16 * k; i < 16 * k + 16; ++i) {
      const int code = std::min(127, static_cast<int>(std::nearbyint(inverse * x[i])));
      b[4 + i] = static_cast<uint8_t>(code);
      sum = static_cast<int16_t>(sum + code);
    }
    store(b + 260 + 2 * k, sum);
  }
}

}  // namespace

EncodeBlock k_encoder(TensorType type) {
  switch (type) {
    case TensorType::q2_k: return encode_q2_k;
    case TensorType::q3_k: return encode_q3_k;
    case TensorType::q4_k: return encode_q45_k<false>;
    case TensorType::q5_k: return encode_q45_k<true>;
    case TensorType::q6_k: return encode_q6_k;
    case TensorType::q8_k: return encode_q8_k;
    default: return nullptr;
  }
}

}  // namespace swarm::engine::formats
