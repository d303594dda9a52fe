// Bytes of the file per second of one core (x86-64 cloud machine, -O2, matrices of 2048 x 2048):
// q4_k 2.7 GB/s, q6_k 2.4, q5_k 2.3, q2_k 1.8, q3_k 1.3, 16-level types 2.5 to 2.9, types that are
// only cut into planes 10 to 40. A Q4_K_M file of 18 GB takes some 7 seconds of one core.
#include "engine/kernels/cuda/weights/place_weights.h"

#include <cstring>

#include "engine/base/check.h"

namespace swarm::engine::kernels::cuda {
namespace {

struct Row {
  const uint8_t* from;                 // blocks
  uint8_t* to;                         // planes
  int64_t groups;                      // G

  // Where the piece of unit `index` lies in the plane that begins after `prefix` bytes.
  uint8_t* plane(int64_t prefix, int64_t index, int64_t unit) const {
    return to + prefix + index * unit;
  }
};

void copy(uint8_t* to, const uint8_t* from, size_t bytes) { std::memcpy(to, from, bytes); }

uint32_t load32(const uint8_t* from) {
  uint32_t word;
  std::memcpy(&word, from, 4);
  return word;
}
void store32(uint8_t* to, uint32_t word) { std::memcpy(to, &word, 4); }

// Bit i of `bits` to bit 8 (i % 4) + i / 4.
uint32_t spread_bits(uint32_t bits) {
  uint32_t word = 0;
  for (int k = 0; k < 8; ++k) {
    const uint32_t four = (bits >> (4 * k)) & 15u;
    word |= ((four * 0x00204081u) & 0x01010101u) << k;
  }
  return word;
}

// 16 values of 2 bits, one per byte: element 4 k + j to bits 8 j + 2 k.
uint32_t pack_pairs(const uint8_t* values) {
  uint32_t word = 0;
  for (int k = 0; k < 4; ++k) word |= (load32(values + 4 * k) & 0x03030303u) << (2 * k);
  return word;
}

// Bytes that hold element i and i + 16 become nibbles in the order of elements.
void order_nibbles(uint8_t* to, const uint8_t* from) {
  for (int i = 0; i < 8; ++i) {
    const int a = from[2 * i], b = from[2 * i + 1];
    to[i] = static_cast<uint8_t>((a & 15) | ((b & 15) << 4));
    to[8 + i] = static_cast<uint8_t>((a >> 4) | (b & 0xf0));
  }
}

// Blocks of 128: scale, codes.
void place_fp8(const Row& r) {
  const int64_t blocks = r.groups / 4;
  for (int64_t b = 0; b < blocks; ++b) {
    copy(r.plane(0, b, 128), r.from + 132 * b + 4, 128);
    copy(r.plane(128 * blocks, b, 4), r.from + 132 * b, 4);
  }
}

// --- 32-element types: block g -------------------------------------------------------------------

void place_q4_0(const Row& r) {
  for (int64_t g = 0; g < r.groups; ++g) {
    const uint8_t* b = r.from + 18 * g;
    copy(r.plane(0, g, 16), b + 2, 16);
    copy(r.plane(16 * r.groups, g, 2), b, 2);
  }
}

void place_q4_1(const Row& r) {
  for (int64_t g = 0; g < r.groups; ++g) {
    const uint8_t* b = r.from + 20 * g;
    copy(r.plane(0, g, 16), b + 4, 16);
    copy(r.plane(16 * r.groups, g, 4), b, 4);
  }
}

void place_q5_0(const Row& r) {
  for (int64_t g = 0; g < r.groups; ++g) {
    const uint8_t* b = r.from + 22 * g;
    copy(r.plane(0, g, 16), b + 6, 16);
    store32(r.plane(16 * r.groups, g, 4), spread_bits(load32(b + 2)));
    copy(r.plane(20 * r.groups, g, 2), b, 2);
  }
}

void place_q5_1(const Row& r) {
  for (int64_t g = 0; g < r.groups; ++g) {
    const uint8_t* b = r.from + 24 * g;
    copy(r.plane(0, g, 16), b + 8, 16);
    store32(r.plane(16 * r.groups, g, 4), spread_bits(load32(b + 4)));
    copy(r.plane(20 * r.groups, g, 4), b, 4);
  }
}

void place_q8_0(const Row& r) {
  for (int64_t g = 0; g < r.groups; ++g) {
    const uint8_t* b = r.from + 34 * g;
    copy(r.plane(0, g, 16), b + 2, 16);
    copy(r.plane(16 * r.groups, g, 16), b + 18, 16);
    copy(r.plane(32 * r.groups, g, 2), b, 2);
  }
}

void place_iq4_nl(const Row& r) {
  for (int64_t g = 0; g < r.groups; ++g) {
    const uint8_t* b = r.from + 18 * g;
    order_nibbles(r.plane(0, g, 16), b + 2);
    copy(r.plane(16 * r.groups, g, 2), b, 2);
  }
}

void place_mxfp4(const Row& r) {
  for (int64_t g = 0; g < r.groups; ++g) {
    const uint8_t* b = r.from + 17 * g;
    order_nibbles(r.plane(0, g, 16), b + 1);
    *r.plane(16 * r.groups, g, 1) = b[0];
  }
}

// --- 256-element types: super-block s, groups 8 s + j --------------------------------------------

// Two bits of element i of group j out of the 64 bytes of q2_k and q3_k, as pairs.
void place_pairs(uint8_t* to, const uint8_t* qs, int j) {
  uint8_t values[32];
  for (int i = 0; i < 32; ++i)
    values[i] = static_cast<uint8_t>((qs[32 * (j / 4) + i] >> (2 * (j % 4))) & 3);
  store32(to, pack_pairs(values));
  store32(to + 4, pack_pairs(values + 16));
}

// Bit j of each of 32 bytes.
uint32_t collect_bit(const uint8_t* bytes, int j) {
  uint32_t bits = 0;
  for (int k = 0; k < 8; ++k) bits |= ((load32(bytes + 4 * k) >> j) & 0x01010101u) << k;
  return bits;                         // element 4 k + i is byte i of word k: bit 8 i + k
}

void place_q2_k(const Row& r) {
  for (int64_t s = 0; s < r.groups / 8; ++s) {
    const uint8_t* b = r.from + 84 * s;
    for (int j = 0; j < 8; ++j) {
      place_pairs(r.plane(0, 8 * s + j, 8), b + 16, j);
      copy(r.plane(8 * r.groups, 8 * s + j, 2), b + 2 * j, 2);
    }
    copy(r.plane(10 * r.groups, s, 4), b + 80, 4);
  }
}

void place_q3_k(const Row& r) {
  for (int64_t s = 0; s < r.groups / 8; ++s) {
    const uint8_t* b = r.from + 110 * s;
    const uint8_t* scales = b + 96;
    uint32_t high = 0;
    for (int k = 0; k < 16; ++k) {
      const uint32_t two = (scales[8 + k % 4] >> (2 * (k / 4))) & 3u;
      high |= two << (2 * k);
    }
    store32(r.plane(12 * r.groups, s, 4), high);
    for (int j = 0; j < 8; ++j) {
      place_pairs(r.plane(0, 8 * s + j, 8), b + 32, j);
      store32(r.plane(8 * r.groups, 8 * s + j, 4), collect_bit(b, j));
      const auto low = [&](int k) { return k < 8 ? scales[k] & 15 : scales[k - 8] >> 4; };
      *r.plane(12 * r.groups + r.groups / 2, 8 * s + j, 1) =
          static_cast<uint8_t>(low(2 * j) | (low(2 * j + 1) << 4));
    }
    copy(r.plane(13 * r.groups + r.groups / 2, s, 2), b + 108, 2);
  }
}

// Header of q4_k and q5_k: b begins with d, dmin and 12 bytes of scales.
void place_k_header(uint8_t* to, const uint8_t* b) {
  const uint8_t* scales = b + 4;
  uint32_t scale_low = 0, min_low = 0, high = 0;
  for (int j = 0; j < 8; ++j) {
    const uint32_t scale = j < 4 ? scales[j] & 63u
                                 : (scales[j + 4] & 15u) | ((scales[j - 4] >> 6) << 4);
    const uint32_t min = j < 4 ? scales[j + 4] & 63u
                               : (scales[j + 4] >> 4u) | ((scales[j] >> 6) << 4);
    scale_low |= (scale & 15u) << (4 * j);
    min_low |= (min & 15u) << (4 * j);
    high |= ((scale >> 4) | (min >> 4) << 2) << (4 * j);
  }
  copy(to, b, 4);
  store32(to + 4, scale_low);
  store32(to + 8, min_low);
  store32(to + 12, high);
}

// 32 bytes with element i of group 2 n in the low and of group 2 n + 1 in the high nibble of byte i
// become 16 bytes per group.
void place_nibble_pair(uint8_t* even, uint8_t* odd, const uint8_t* qs) {
  for (int i = 0; i < 16; ++i) {
    even[i] = static_cast<uint8_t>((qs[i] & 15) | ((qs[i + 16] & 15) << 4));
    odd[i] = static_cast<uint8_t>((qs[i] >> 4) | (qs[i + 16] & 0xf0));
  }
}

void place_q4_k(const Row& r) {
  for (int64_t s = 0; s < r.groups / 8; ++s) {
    const uint8_t* b = r.from + 144 * s;
    for (int n = 0; n < 4; ++n)
      place_nibble_pair(r.plane(0, 8 * s + 2 * n, 16), r.plane(0, 8 * s + 2 * n + 1, 16),
                        b + 16 + 32 * n);
    place_k_header(r.plane(16 * r.groups, s, 16), b);
  }
}

void place_q5_k(const Row& r) {
  for (int64_t s = 0; s < r.groups / 8; ++s) {
    const uint8_t* b = r.from + 176 * s;
    for (int n = 0; n < 4; ++n)
      place_nibble_pair(r.plane(0, 8 * s + 2 * n, 16), r.plane(0, 8 * s + 2 * n + 1, 16),
                        b + 48 + 32 * n);
    place_k_header(r.plane(16 * r.groups, s, 16), b);
    for (int j = 0; j < 8; ++j)
      store32(r.plane(18 * r.groups, 8 * s + j, 4), collect_bit(b + 16, j));
  }
}

void place_q6_k(const Row& r) {
  for (int64_t s = 0; s < r.groups / 8; ++s) {
    const uint8_t* b = r.from + 210 * s;
    for (int n = 0; n < 2; ++n) {      // halves of 128: groups 0, 2 share bytes, so do 1, 3
      for (int low = 0; low < 2; ++low)
        place_nibble_pair(r.plane(0, 8 * s + 4 * n + low, 16),
                          r.plane(0, 8 * s + 4 * n + low + 2, 16), b + 64 * n + 32 * low);
    }
    for (int j = 0; j < 8; ++j) place_pairs(r.plane(16 * r.groups, 8 * s + j, 8), b + 128, j);
    copy(r.plane(24 * r.groups, s, 16), b + 192, 16);
    copy(r.plane(26 * r.groups, s, 2), b + 208, 2);
  }
}

void place_iq2_xxs(const Row& r) {
  for (int64_t s = 0; s < r.groups / 8; ++s) {
    const uint8_t* b = r.from + 66 * s;
    copy(r.plane(0, s, 64), b + 2, 64);
    copy(r.plane(8 * r.groups, s, 2), b, 2);
  }
}

void place_iq2_xs(const Row& r) {
  for (int64_t s = 0; s < r.groups / 8; ++s) {
    const uint8_t* b = r.from + 74 * s;
    copy(r.plane(0, s, 64), b + 2, 64);
    copy(r.plane(8 * r.groups, s, 8), b + 66, 8);
    copy(r.plane(9 * r.groups, s, 2), b, 2);
  }
}

void place_iq2_s(const Row& r) {
  for (int64_t s = 0; s < r.groups / 8; ++s) {
    const uint8_t* b = r.from + 82 * s;
    for (int j = 0; j < 8; ++j) {
      copy(r.plane(0, 8 * s + j, 8), b + 2 + 4 * j, 4);
      copy(r.plane(0, 8 * s + j, 8) + 4, b + 34 + 4 * j, 4);
      uint8_t* more = r.plane(8 * r.groups, 8 * s + j, 2);
      more[0] = b[66 + j];
      more[1] = b[74 + j];
    }
    copy(r.plane(10 * r.groups, s, 2), b, 2);
  }
}

void place_iq3_xxs(const Row& r) {
  for (int64_t s = 0; s < r.groups / 8; ++s) {
    const uint8_t* b = r.from + 98 * s;
    copy(r.plane(0, s, 64), b + 2, 64);
    copy(r.plane(8 * r.groups, s, 32), b + 66, 32);
    copy(r.plane(12 * r.groups, s, 2), b, 2);
  }
}

void place_iq3_s(const Row& r) {
  for (int64_t s = 0; s < r.groups / 8; ++s) {
    const uint8_t* b = r.from + 110 * s;
    copy(r.plane(0, s, 64), b + 2, 64);
    copy(r.plane(8 * r.groups, s, 32), b + 74, 32);
    copy(r.plane(12 * r.groups, s, 4), b + 106, 4);
    copy(r.plane(12 * r.groups + r.groups / 2, s, 8), b + 66, 8);
    copy(r.plane(13 * r.groups + r.groups / 2, s, 2), b, 2);
  }
}

void place_iq4_xs(const Row& r) {
  for (int64_t s = 0; s < r.groups / 8; ++s) {
    const uint8_t* b = r.from + 136 * s;
    for (int j = 0; j < 8; ++j) order_nibbles(r.plane(0, 8 * s + j, 16), b + 8 + 16 * j);
    copy(r.plane(16 * r.groups, s, 8), b, 8);
  }
}

using PlaceRow = void (*)(const Row&);

PlaceRow place_row_function(WeightType type) {
  switch (type) {
    case WeightType::fp8: return place_fp8;
    case WeightType::q4_0: return place_q4_0;
    case WeightType::q4_1: return place_q4_1;
    case WeightType::q5_0: return place_q5_0;
    case WeightType::q5_1: return place_q5_1;
    case WeightType::q8_0: return place_q8_0;
    case WeightType::q2_k: return place_q2_k;
    case WeightType::q3_k: return place_q3_k;
    case WeightType::q4_k: return place_q4_k;
    case WeightType::q5_k: return place_q5_k;
    case WeightType::q6_k: return place_q6_k;
    case WeightType::iq2_xxs: return place_iq2_xxs;
    case WeightType::iq2_xs: return place_iq2_xs;
    case WeightType::iq2_s: return place_iq2_s;
    case WeightType::iq3_xxs: return place_iq3_xxs;
    case WeightType::iq3_s: return place_iq3_s;
    case WeightType::iq4_nl: return place_iq4_nl;
    case WeightType::iq4_xs: return place_iq4_xs;
    case WeightType::mxfp4: return place_mxfp4;
    default: return nullptr;
  }
}

}  // namespace

std::optional<WeightType> weight_type(formats::TensorType type) {
  using formats::TensorType;
  switch (type) {
    case TensorType::f32: return WeightType::f32;
    case TensorType::f16: return WeightType::f16;
    case TensorType::bf16: return WeightType::bf16;
    case TensorType::fp8: return WeightType::fp8;
    case TensorType::q4_0: return WeightType::q4_0;
    case TensorType::q4_1: return WeightType::q4_1;
    case TensorType::q5_0: return WeightType::q5_0;
    case TensorType::q5_1: return WeightType::q5_1;
    case TensorType::q8_0: return WeightType::q8_0;
    case TensorType::q2_k: return WeightType::q2_k;
    case TensorType::q3_k: return WeightType::q3_k;
    case TensorType::q4_k: return WeightType::q4_k;
    case TensorType::q5_k: return WeightType::q5_k;
    case TensorType::q6_k: return WeightType::q6_k;
    case TensorType::iq2_xxs: return WeightType::iq2_xxs;
    case TensorType::iq2_xs: return WeightType::iq2_xs;
    case TensorType::iq2_s: return WeightType::iq2_s;
    case TensorType::iq3_xxs: return WeightType::iq3_xxs;
    case TensorType::iq3_s: return WeightType::iq3_s;
    case TensorType::iq4_nl: return WeightType::iq4_nl;
    case TensorType::iq4_xs: return WeightType::iq4_xs;
    case TensorType::mxfp4: return WeightType::mxfp4;
    default: return std::nullopt;
  }
}

void place_rows(WeightType type, const std::byte* from, size_t from_row_bytes, int64_t rows,
                int32_t cols, std::byte* to) {
  const WeightBlock block = weight_block(type);
  SWARM_CHECK(cols % block.elements == 0, cols, block.elements);
  const auto used = static_cast<size_t>(cols / block.elements) * static_cast<size_t>(block.bytes);
  const auto row_bytes = static_cast<size_t>(placed_row_bytes(type, cols));
  const PlaceRow place = place_row_function(type);
  for (int64_t i = 0; i < rows; ++i) {
    const auto* source = reinterpret_cast<const uint8_t*>(from) +
                         static_cast<size_t>(i) * from_row_bytes;
    auto* target = reinterpret_cast<uint8_t*>(to) + static_cast<size_t>(i) * row_bytes;
    if (place != nullptr)
      place({.from = source, .to = target, .groups = cols / 32});
    else
      std::memcpy(target, source, used);
    std::memset(target + used, 0, row_bytes - used);
  }
}

}  // namespace swarm::engine::kernels::cuda
