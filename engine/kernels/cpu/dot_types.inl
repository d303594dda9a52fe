// engine/kernels/cpu/dot_types.inl — How each quantised type unpacks 32 weights into bytes, in
// natural order. Formulas: reference/engine.md section 3. Loads are unaligned; nothing past a block
// is read.

inline __m256i hload(const std::byte* p) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(p));
}
inline uint16_t load_u16(const std::byte* p) {
  uint16_t v;
  __builtin_memcpy(&v, p, 2);
  return v;
}
inline uint32_t load_u32(const std::byte* p) {
  uint32_t v;
  __builtin_memcpy(&v, p, 4);
  return v;
}
inline __m256i low_nibbles(__m256i v) { return _mm256_and_si256(v, _mm256_set1_epi8(15)); }

// 32-blocks: w = d * (code - kOffset); kSigned: codes are signed bytes and kOffset is 0.
struct TypeQ8_0 {
  static constexpr int kBlockBytes = 34;
  static constexpr bool kSigned = kSignedDot;
  static constexpr int kOffsetShift = 7;   // code = q + 128 unless signed
  static uint16_t scale_bits(const std::byte* block) { return load_u16(block); }
  static __m256i codes(const std::byte* block) {
    const __m256i q = hload(block + 2);
    return kSigned ? q : _mm256_xor_si256(q, _mm256_set1_epi8(-128));
  }
};

struct TypeQ4_0 {
  static constexpr int kBlockBytes = 18;
  static constexpr bool kSigned = false;
  static constexpr int kOffsetShift = 3;   // code = q + 8
  static uint16_t scale_bits(const std::byte* block) { return load_u16(block); }
  static __m256i codes(const std::byte* block) {
    const __m128i packed = _mm_loadu_si128(reinterpret_cast<const __m128i*>(block + 2));
    const __m256i both = _mm256_set_m128i(_mm_srli_epi16(packed, 4), packed);
    return low_nibbles(both);
  }
};

// Scales and mins of Q4_K and Q5_K as 16 bytes: 8 scales, 8 mins (engine.md 3.3).
inline __m128i scales_and_mins(const std::byte* scales) {
  const uint32_t a = load_u32(scales), b = load_u32(scales + 4), c = load_u32(scales + 8);
  const uint32_t s0 = a & 0x3f3f3f3fu;
  const uint32_t s1 = (c & 0x0f0f0f0fu) | ((a >> 2) & 0x30303030u);
  const uint32_t m0 = b & 0x3f3f3f3fu;
  const uint32_t m1 = ((c >> 4) & 0x0f0f0f0fu) | ((b >> 2) & 0x30303030u);
  return _mm_set_epi64x(static_cast<long long>(m0 | uint64_t{m1} << 32),
                        static_cast<long long>(s0 | uint64_t{s1} << 32));
}

// 256-blocks hold their codes in kChunks pieces of 32 bytes; codes<kSub>(chunk) builds sub-block
// kSub from pieces chunk(0), chunk(1), ... with operations that act on every byte alone, so they
// work on the bytes of one row and, in dot_tiled.inl, on bytes of many rows side by side.
constexpr int32_t kLowNibbles = 0x0f0f0f0f;

template <class Type, int kSub>
inline __m256i row_codes(const std::byte* block) {
  return Type::template codes<kSub>([&](int chunk) __attribute__((always_inline)) {
    return hload(block + Type::kChunksAt + 32 * chunk);
  });
}

// Sub-blocks of 32 with scale and min each: w = d * sc * code - dmin * mn.
struct TypeQ4_K {
  static constexpr int kBlockBytes = 144;
  static constexpr int kChunksAt = 16;
  static constexpr int kChunks = 4;
  static const std::byte* scales(const std::byte* block) { return block + 4; }
  template <int kSub, class Chunk>
  static __attribute__((always_inline)) auto codes(Chunk chunk) {
    return iand(ishr<4 * (kSub % 2)>(chunk(kSub / 2)), kLowNibbles);
  }
};

struct TypeQ5_K {
  static constexpr int kBlockBytes = 176;
  static constexpr int kChunksAt = 16;      // chunk 0: the fifth bits
  static constexpr int kChunks = 5;
  static const std::byte* scales(const std::byte* block) { return block + 4; }
  template <int kSub, class Chunk>
  static __attribute__((always_inline)) auto codes(Chunk chunk) {
    const auto low = iand(ishr<4 * (kSub % 2)>(chunk(1 + kSub / 2)), kLowNibbles);
    return ior(low, ishl<4>(iand(ishr<kSub>(chunk(0)), 0x01010101)));
  }
};

// Sub-blocks of 16: w = d * sc * (code - 32).
struct TypeQ6_K {
  static constexpr int kBlockBytes = 210;
  static constexpr int kOffsetShift = 5;
  static constexpr int kChunksAt = 0;       // chunks 0..3: low nibbles; 4, 5: high pairs of bits
  static constexpr int kChunks = 6;
  static const std::byte* scales(const std::byte* block) { return block + 192; }
  static uint16_t scale_bits(const std::byte* block) { return load_u16(block + 208); }
  template <int kSub, class Chunk>
  static __attribute__((always_inline)) auto codes(Chunk chunk) {
    constexpr int kHalf = kSub / 4, kGroup = kSub % 4;
    const auto packed = chunk(2 * kHalf + (kGroup & 1));
    const auto low = iand(ishr<kGroup < 2 ? 0 : 4>(packed), kLowNibbles);
    return ior(low, ishl<4>(iand(ishr<2 * kGroup>(chunk(4 + kHalf)), 0x03030303)));
  }
};

// Calls body(integral_constant<int, 0>) ... 7.
template <class Body>
inline __attribute__((always_inline)) void for_each_sub(Body body) {
  body(std::integral_constant<int, 0>());
  body(std::integral_constant<int, 1>());
  body(std::integral_constant<int, 2>());
  body(std::integral_constant<int, 3>());
  body(std::integral_constant<int, 4>());
  body(std::integral_constant<int, 5>());
  body(std::integral_constant<int, 6>());
  body(std::integral_constant<int, 7>());
}

// Lane r = sum of the lanes of v[r].
inline __m256i reduce_rows(const __m256i* v) {
  const __m256i a = _mm256_hadd_epi32(_mm256_hadd_epi32(v[0], v[1]), _mm256_hadd_epi32(v[2], v[3]));
  const __m256i b = _mm256_hadd_epi32(_mm256_hadd_epi32(v[4], v[5]), _mm256_hadd_epi32(v[6], v[7]));
  return _mm256_add_epi32(_mm256_permute2x128_si256(a, b, 0x20),
                          _mm256_permute2x128_si256(a, b, 0x31));
}
// The same for 128-bit rows.
inline __m256i reduce_rows(const __m128i* v) {
  __m256i pair[4];   // rows r and r + 4 side by side
  for (int r = 0; r < 4; ++r) pair[r] = _mm256_set_m128i(v[r + 4], v[r]);
  return _mm256_hadd_epi32(_mm256_hadd_epi32(pair[0], pair[1]),
                           _mm256_hadd_epi32(pair[2], pair[3]));
}

inline __m256 f16_lanes(const uint16_t* bits) {
  return _mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(bits)));
}
