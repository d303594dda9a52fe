// Encoding of the IQ types: searches of our own design. Any result decodes correctly; quality is
// tested as RMSE against the reference quantizers.
// Lattice types: the magnitudes of 8 or 4 neighbours become a point of a codebook. Rounding every
// magnitude to a level gives a pattern; for every pattern the nearest few points are known from a
// table made once, and the best of them for the real values is taken. Scales are searched per group
// around the one that puts the largest value on the largest level, then refined by least squares.
#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <memory>
#include <utility>
#include <vector>

#include "engine/formats/block_codec.h"
#include "engine/formats/iq_codebooks.h"

namespace swarm::engine::formats {
namespace {

constexpr int kRefinements = 2;
constexpr float kF16Max = 65504.0f;

float to_f16_and_back(float x) { return f16_to_f32(f32_to_f16(std::clamp(x, -kF16Max, kF16Max))); }

int round_to(float x, int low, int high) {
  const float bounded = std::clamp(x, static_cast<float>(low), static_cast<float>(high));
  return static_cast<int>(std::nearbyint(bounded));
}

// ---- lattices ----

template <size_t kElements, size_t kLevels>
class Lattice {
 public:
  using Point = std::array<int8_t, kElements>;

  Lattice(std::span<const Point> points, const std::array<int, kLevels>& levels)
      : points_(points), levels_(levels) {
    size_t patterns = 1;
    for (size_t j = 0; j < kElements; ++j) patterns *= kLevels;
    near_.resize(patterns * kNear);
    std::vector<std::pair<int, uint16_t>> ranked(points.size());
    for (size_t pattern = 0; pattern < patterns; ++pattern) {
      int wanted[kElements];
      for (size_t j = 0, rest = pattern; j < kElements; ++j, rest /= kLevels) {
        wanted[j] = levels[rest % kLevels];
      }
      for (size_t i = 0; i < points.size(); ++i) {
        int distance = 0;
        for (size_t j = 0; j < kElements; ++j) {
          distance += (wanted[j] - points[i][j]) * (wanted[j] - points[i][j]);
        }
        ranked[i] = {distance, static_cast<uint16_t>(i)};
      }
      std::partial_sort(ranked.begin(), ranked.begin() + kNear, ranked.end());
      for (size_t n = 0; n < kNear; ++n) near_[pattern * kNear + n] = ranked[n].second;
    }
  }

  // The point whose multiple is nearest to the magnitudes (one may be negative, where its sign had
  // to be given up); adds the squared error.
  int choose(const float* magnitudes, float scale, float& error) const {
    const float inverse = scale > 0.0f ? 1.0f / scale : 0.0f;
    size_t pattern = 0;
    for (size_t j = kElements; j-- > 0;) {
      const float v = magnitudes[j] * inverse;
      size_t level = 0;
      for (size_t l = 1; l < kLevels; ++l) {
        level += v * 2.0f > static_cast<float>(levels_[l - 1] + levels_[l]) ? 1 : 0;
      }
      pattern = pattern * kLevels + level;
    }
    int best = 0;
    float best_error = INFINITY;
    for (size_t n = 0; n < kNear; ++n) {
      const Point& point = points_[near_[pattern * kNear + n]];
      float sum = 0.0f;
      for (size_t j = 0; j < kElements; ++j) {
        const float difference = magnitudes[j] - scale * static_cast<float>(point[j]);
        sum += difference * difference;
      }
      if (!(sum < best_error)) continue;
      best_error = sum;
      best = near_[pattern * kNear + n];
    }
    error += best_error;
    return best;
  }

  const Point& point(int index) const { return points_[static_cast<size_t>(index)]; }
  float top() const { return static_cast<float>(levels_[kLevels - 1]); }

 private:
  static constexpr size_t kNear = 8;
  std::span<const Point> points_;
  std::array<int, kLevels> levels_;
  std::vector<uint16_t> near_;
};

using Lattice8 = Lattice<8, 3>;
using Lattice4 = Lattice<4, 8>;
constexpr std::array<int, 3> kLevels2 = {8, 25, 43};

// Made on first use: about 50 million steps for the largest.
const Lattice8& iq2xxs_lattice() {
  static const Lattice8 lattice(iq2xxs_codebook(), kLevels2);
  return lattice;
}
const Lattice8& iq2xs_lattice() {
  static const Lattice8 lattice(iq2xs_codebook(), kLevels2);
  return lattice;
}
const Lattice8& iq2s_lattice() {
  static const Lattice8 lattice(iq2s_codebook(), kLevels2);
  return lattice;
}
const Lattice4& iq3xxs_lattice() {
  static const Lattice4 lattice(iq3xxs_codebook(), {4, 12, 20, 28, 36, 44, 52, 62});
  return lattice;
}
const Lattice4& iq3s_lattice() {
  static const Lattice4 lattice(iq3s_codebook(), {1, 3, 5, 7, 9, 11, 13, 15});
  return lattice;
}

// A block of 256: w = d * kUnit * (0.5 + scale of the group) * point * sign.
struct LatticeBlock {
  float d = 0.0f;
  int scales[16] = {};       // 0..15, per group
  int points[64] = {};       // per kElements
  uint32_t signs[32] = {};   // per 8: bit j set = element j negative
  float error = 0.0f;
};

template <class L, int kElements, int kGroup>
class LatticeEncoder {
 public:
  // unit: the formula's factor beside (0.5 + scale). even_signs: the eighth sign is implied.
  LatticeEncoder(const L& lattice, float unit, bool even_signs)
      : lattice_(lattice), unit_(unit), even_signs_(even_signs) {}

  LatticeBlock encode(const float* x) {
    LatticeBlock block;
    choose_signs(x, block);
    float wanted[kGroups], largest = 0.0f;
    for (int g = 0; g < kGroups; ++g) {
      wanted[g] = fit(magnitudes_ + kGroup * g);
      largest = std::max(largest, wanted[g]);
    }
    block.d = to_f16_and_back(largest / (15.5f * unit_));
    choose(wanted, block);
    LatticeBlock best = block;
    for (int round = 0; round < kRefinements; ++round) {
      if (!solve(block)) break;
      choose(wanted, block);
      if (!(block.error < best.error)) break;
      best = block;
    }
    return best;
  }

 private:
  static constexpr int kGroups = 256 / kGroup;
  static constexpr int kPoints = kGroup / kElements;

  void choose_signs(const float* x, LatticeBlock& block) {
    for (int k = 0; k < 32; ++k) {
      const float* run = x + 8 * k;
      uint32_t signs = 0;
      int smallest = 0;
      for (int j = 0; j < 8; ++j) {
        if (std::signbit(run[j])) signs |= 1u << j;
        if (std::abs(run[j]) < std::abs(run[smallest])) smallest = j;
      }
      if (even_signs_ && std::popcount(signs) % 2 != 0) signs ^= 1u << smallest;
      block.signs[k] = signs;
      for (int j = 0; j < 8; ++j) {
        magnitudes_[8 * k + j] = ((signs >> j) & 1u) != 0 ? -run[j] : run[j];
      }
    }
  }

  float choose_points(const float* m, float scale, int* points) const {
    float error = 0.0f;
    for (int p = 0; p < kPoints; ++p) {
      points[p] = lattice_.choose(m + kElements * p, scale, error);
    }
    return error;
  }

  // The scale of one group that errs least, regardless of what the block can store.
  float fit(const float* m) const {
    const float largest = *std::max_element(m, m + kGroup);
    if (largest < 1e-30f) return 0.0f;
    float best = 0.0f, best_error = INFINITY;
    int points[kPoints];
    for (int step = 0; step < 15; ++step) {
      float scale = largest / lattice_.top() * (0.6f + 0.05f * static_cast<float>(step));
      choose_points(m, scale, points);
      float mp = 0.0f, pp = 0.0f;
      for (int i = 0; i < kGroup; ++i) {
        const auto level =
            static_cast<float>(lattice_.point(points[i / kElements])[size_t(i % kElements)]);
        mp += m[i] * level;
        pp += level * level;
      }
      if (mp > 0.0f) scale = mp / pp;
      const float error = choose_points(m, scale, points);
      if (error < best_error) best = scale, best_error = error;
    }
    return best;
  }

  // For the stored d: the best of three neighbouring scales of every group, and its points.
  void choose(const float* wanted, LatticeBlock& block) const {
    block.error = 0.0f;
    const float step = block.d * unit_;
    for (int g = 0; g < kGroups; ++g) {
      const int near = step > 0.0f ? round_to(wanted[g] / step - 0.5f, 0, 15) : 0;
      float best = INFINITY;
      for (int s = std::max(near - 1, 0); s <= std::min(near + 1, 15); ++s) {
        int points[kPoints];
        const float scale = step * (0.5f + static_cast<float>(s));
        const float error = choose_points(magnitudes_ + kGroup * g, scale, points);
        if (!(error < best)) continue;
        best = error;
        block.scales[g] = s;
        std::copy_n(points, kPoints, block.points + kPoints * g);
      }
      block.error += best;
    }
  }

  // The d that fits the chosen scales and points best.
  bool solve(LatticeBlock& block) const {
    double mc = 0.0, cc = 0.0;
    for (int i = 0; i < 256; ++i) {
      const auto& point = lattice_.point(block.points[i / kElements]);
      const double c = static_cast<double>(unit_) * (0.5 + block.scales[i / kGroup]) *
                       point[static_cast<size_t>(i % kElements)];
      mc += c * magnitudes_[i];
      cc += c * c;
    }
    if (!(mc > 0.0)) return false;
    block.d = to_f16_and_back(static_cast<float>(mc / cc));
    return true;
  }

  const L& lattice_;
  float unit_;
  bool even_signs_;
  float magnitudes_[256] = {};
};

void put(uint8_t& byte, int bits, int shift) {
  byte = static_cast<uint8_t>(byte | bits << shift);
}

// Seven sign bits of four runs of eight and the scale in the top nibble.
uint32_t signs_and_scale(const uint32_t* signs, int scale) {
  uint32_t word = static_cast<uint32_t>(scale) << 28;
  for (int l = 0; l < 4; ++l) word |= (signs[l] & 127u) << (7 * l);
  return word;
}

// d | per group of 32: 4 index bytes, u32 of signs and scale
void encode_iq2_xxs(const float* x, uint8_t* b) {
  LatticeEncoder<Lattice8, 8, 32> encoder(iq2xxs_lattice(), 0.25f, true);
  const LatticeBlock block = encoder.encode(x);
  store(b, f32_to_f16(block.d));
  for (int g = 0; g < 8; ++g) {
    for (int l = 0; l < 4; ++l) b[2 + 8 * g + l] = static_cast<uint8_t>(block.points[4 * g + l]);
    store(b + 6 + 8 * g, signs_and_scale(block.signs + 4 * g, block.scales[g]));
  }
}

// d | qs[32] (u16: 9-bit index, 7-bit signs) | scales[8]
void encode_iq2_xs(const float* x, uint8_t* b) {
  LatticeEncoder<Lattice8, 8, 16> encoder(iq2xs_lattice(), 0.25f, true);
  const LatticeBlock block = encoder.encode(x);
  store(b, f32_to_f16(block.d));
  std::fill_n(b + 66, 8, uint8_t{0});
  for (int k = 0; k < 32; ++k) {
    const auto code = static_cast<uint32_t>(block.points[k]) | (block.signs[k] & 127u) << 9;
    store(b + 2 + 2 * k, static_cast<uint16_t>(code));
  }
  for (int g = 0; g < 16; ++g) put(b[66 + g / 2], block.scales[g], 4 * (g % 2));
}

// d | qs[32] | signs[32] | qh[8] | scales[8]
void encode_iq2_s(const float* x, uint8_t* b) {
  LatticeEncoder<Lattice8, 8, 16> encoder(iq2s_lattice(), 0.25f, false);
  const LatticeBlock block = encoder.encode(x);
  store(b, f32_to_f16(block.d));
  std::fill_n(b + 66, 16, uint8_t{0});
  for (int k = 0; k < 32; ++k) {
    b[2 + k] = static_cast<uint8_t>(block.points[k] & 255);
    b[34 + k] = static_cast<uint8_t>(block.signs[k]);
    put(b[66 + k / 4], block.points[k] >> 8, 2 * (k % 4));
  }
  for (int g = 0; g < 16; ++g) put(b[74 + g / 2], block.scales[g], 4 * (g % 2));
}

// d | qs[64] | per group of 32: u32 of signs and scale
void encode_iq3_xxs(const float* x, uint8_t* b) {
  LatticeEncoder<Lattice4, 4, 32> encoder(iq3xxs_lattice(), 0.5f, true);
  const LatticeBlock block = encoder.encode(x);
  store(b, f32_to_f16(block.d));
  for (int k = 0; k < 64; ++k) b[2 + k] = static_cast<uint8_t>(block.points[k]);
  for (int g = 0; g < 8; ++g) {
    store(b + 66 + 4 * g, signs_and_scale(block.signs + 4 * g, block.scales[g]));
  }
}

// d | qs[64] | qh[8] | signs[32] | scales[4]; the scale is 1 + 2 s
void encode_iq3_s(const float* x, uint8_t* b) {
  LatticeEncoder<Lattice4, 4, 32> encoder(iq3s_lattice(), 2.0f, false);
  const LatticeBlock block = encoder.encode(x);
  store(b, f32_to_f16(block.d));
  std::fill_n(b + 66, 44, uint8_t{0});
  for (int k = 0; k < 64; ++k) {
    b[2 + k] = static_cast<uint8_t>(block.points[k] & 255);
    put(b[66 + k / 8], block.points[k] >> 8, k % 8);
  }
  for (int k = 0; k < 32; ++k) b[74 + k] = static_cast<uint8_t>(block.signs[k]);
  for (int g = 0; g < 8; ++g) put(b[106 + g / 2], block.scales[g], 4 * (g % 2));
}

// ---- IQ4_NL, IQ4_XS: sixteen uneven levels ----

float choose_levels(const float* x, float scale, int* codes) {
  const float inverse = scale != 0.0f && std::isfinite(1.0f / scale) ? 1.0f / scale : 0.0f;
  float error = 0.0f;
  for (int i = 0; i < 32; ++i) {
    const float v = 2.0f * x[i] * inverse;
    int code = 0;
    for (int l = 1; l < 16; ++l) {
      code += v > static_cast<float>(kIq4Levels[l - 1] + kIq4Levels[l]) ? 1 : 0;
    }
    codes[i] = code;
    const float difference = x[i] - scale * static_cast<float>(kIq4Levels[code]);
    error += difference * difference;
  }
  return error;
}

// The scale that errs least; negative where the longer side of the levels fits the other sign.
float fit_levels(const float* x) {
  float largest = 0.0f;
  for (int i = 0; i < 32; ++i) largest = std::max(largest, std::abs(x[i]));
  if (largest < 1e-30f) return 0.0f;
  float best = 0.0f, best_error = INFINITY;
  int codes[32];
  for (int step = -9; step <= 9; ++step) {
    for (const float sign : {1.0f, -1.0f}) {
      float scale = sign * largest / (118.0f + 3.0f * static_cast<float>(step));
      choose_levels(x, scale, codes);
      float xl = 0.0f, ll = 0.0f;
      for (int i = 0; i < 32; ++i) {
        const auto level = static_cast<float>(kIq4Levels[codes[i]]);
        xl += x[i] * level;
        ll += level * level;
      }
      if (xl != 0.0f) scale = xl / ll;
      const float error = choose_levels(x, scale, codes);
      if (error < best_error) best = scale, best_error = error;
    }
  }
  return best;
}

void store_levels(const int* codes, uint8_t* to) {
  for (int i = 0; i < 16; ++i) to[i] = static_cast<uint8_t>(codes[i] | codes[i + 16] << 4);
}

// d | qs[16]
void encode_iq4_nl(const float* x, uint8_t* b) {
  int codes[32];
  const float d = to_f16_and_back(fit_levels(x));
  choose_levels(x, d, codes);
  store(b, f32_to_f16(d));
  store_levels(codes, b + 2);
}

struct LevelBlock {
  float d = 0.0f;
  int scales[8] = {};        // -32..31
  int codes[256] = {};
  float error = 0.0f;
};

void choose_sub_blocks(const float* x, const float* wanted, LevelBlock& block) {
  block.error = 0.0f;
  for (int s = 0; s < 8; ++s) {
    const int near = block.d != 0.0f ? round_to(wanted[s] / block.d, -32, 31) : 0;
    float best = INFINITY;
    for (int scale = std::max(near - 1, -32); scale <= std::min(near + 1, 31); ++scale) {
      int codes[32];
      const float error = choose_levels(x + 32 * s, block.d * static_cast<float>(scale), codes);
      if (!(error < best)) continue;
      best = error;
      block.scales[s] = scale;
      std::copy_n(codes, 32, block.codes + 32 * s);
    }
    block.error += best;
  }
}

// d | scales_h (u16) | scales_l[4] | qs[128]
void encode_iq4_xs(const float* x, uint8_t* b) {
  float wanted[8], extreme = 0.0f;
  for (int s = 0; s < 8; ++s) {
    wanted[s] = fit_levels(x + 32 * s);
    if (std::abs(wanted[s]) > std::abs(extreme)) extreme = wanted[s];
  }
  LevelBlock block;
  block.d = to_f16_and_back(extreme / -32.0f);
  choose_sub_blocks(x, wanted, block);
  LevelBlock best = block;
  for (int round = 0; round < kRefinements; ++round) {
    double xc = 0.0, cc = 0.0;
    for (int i = 0; i < 256; ++i) {
      const double c = static_cast<double>(block.scales[i / 32]) * kIq4Levels[block.codes[i]];
      xc += c * x[i];
      cc += c * c;
    }
    if (cc == 0.0) break;
    block.d = to_f16_and_back(static_cast<float>(xc / cc));
    choose_sub_blocks(x, wanted, block);
    if (!(block.error < best.error)) break;
    best = block;
  }
  store(b, f32_to_f16(best.d));
  uint32_t high = 0;
  std::fill_n(b + 4, 4, uint8_t{0});
  for (int s = 0; s < 8; ++s) {
    const int scale = best.scales[s] + 32;
    put(b[4 + s / 2], scale & 15, 4 * (s % 2));
    high |= static_cast<uint32_t>(scale >> 4) << (2 * s);
    store_levels(best.codes + 32 * s, b + 8 + 16 * s);
  }
  store(b + 2, static_cast<uint16_t>(high));
}

}  // namespace

EncodeBlock iq_encoder(TensorType type) {
  switch (type) {
    case TensorType::iq2_xxs: return encode_iq2_xxs;
    case TensorType::iq2_xs: return encode_iq2_xs;
    case TensorType::iq2_s: return encode_iq2_s;
    case TensorType::iq3_xxs: return encode_iq3_xxs;
    case TensorType::iq3_s: return encode_iq3_s;
    case TensorType::iq4_nl: return encode_iq4_nl;
    case TensorType::iq4_xs: return encode_iq4_xs;
    default: return nullptr;
  }
}

}  // namespace swarm::engine::formats
