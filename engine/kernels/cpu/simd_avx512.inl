// engine/kernels/cpu/simd_avx512.inl — The few vector operations the kernels are written in, for
// AVX-512 (F, BW, VL, DQ, VNNI). Included by isa_avx512.cpp inside its namespace. simd_avx2.inl has
// the same names; kLanes differs. 256-bit operations (prefix h) are shared by both.

constexpr int kLanes = 16;
constexpr int kFloatRows = 4, kFloatTokens = 6;   // register tile of float products: 24 + 4 + 1
constexpr int kQuantTokens = 8;                   // tokens of the integer tile: 8 + 8 + 3
// vpdpbusd takes unsigned weights in full range, so signed codes are shifted by 128.
constexpr bool kSignedDot = false;

using F = __m512;
using I = __m512i;

inline F zero() { return _mm512_setzero_ps(); }
inline F set1(float v) { return _mm512_set1_ps(v); }
inline F load(const float* p) { return _mm512_loadu_ps(p); }
inline void store(float* p, F v) { _mm512_storeu_ps(p, v); }
inline __mmask16 first(int n) { return static_cast<__mmask16>((1u << n) - 1u); }
inline F load_first(const float* p, int n) { return _mm512_maskz_loadu_ps(first(n), p); }
inline void store_first(float* p, F v, int n) { _mm512_mask_storeu_ps(p, first(n), v); }
inline F add(F a, F b) { return _mm512_add_ps(a, b); }
inline F sub(F a, F b) { return _mm512_sub_ps(a, b); }
inline F mul(F a, F b) { return _mm512_mul_ps(a, b); }
inline F div(F a, F b) { return _mm512_div_ps(a, b); }
inline F fma(F a, F b, F c) { return _mm512_fmadd_ps(a, b, c); }
inline F fnma(F a, F b, F c) { return _mm512_fnmadd_ps(a, b, c); }
inline F max(F a, F b) { return _mm512_max_ps(a, b); }
inline F min(F a, F b) { return _mm512_min_ps(a, b); }
inline F abs(F a) { return _mm512_abs_ps(a); }
inline float sum(F v) { return _mm512_reduce_add_ps(v); }
inline float max_of(F v) { return _mm512_reduce_max_ps(v); }
inline F load_f16(const void* p) {
  return _mm512_cvtph_ps(_mm256_loadu_si256(static_cast<const __m256i*>(p)));
}
inline void store_f16(void* p, F v) {
  _mm256_storeu_si256(static_cast<__m256i*>(p),
                      _mm512_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
inline F load_bf16(const void* p) {
  const __m256i half = _mm256_loadu_si256(static_cast<const __m256i*>(p));
  return _mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(half), 16));
}
inline F load_i8(const void* p) {
  const __m128i codes = _mm_loadu_si128(static_cast<const __m128i*>(p));
  return _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(codes));
}
inline F round_even(F v) {
  return _mm512_roundscale_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
// 2^n for integral n in [-126, 127].
inline F pow2(F n) {
  const I biased = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
  return _mm512_castsi512_ps(_mm512_slli_epi32(biased, 23));
}
// Lanes i < n keep v, others become `other`.
inline F keep_first(F v, int n, F other) { return _mm512_mask_blend_ps(first(n), other, v); }
// v where x > low, else 0.
inline F keep_above(F x, F low, F v) {
  return _mm512_maskz_mov_ps(_mm512_cmp_ps_mask(x, low, _CMP_GT_OQ), v);
}
// sixteen codes in [-127, 127] from integral floats.
inline void store_codes(int8_t* p, F v) {
  _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm512_cvtepi32_epi8(_mm512_cvtps_epi32(v)));
}

inline I izero() { return _mm512_setzero_si512(); }
inline I iload(const void* p) { return _mm512_loadu_si512(p); }
inline void istore(void* p, I v) { _mm512_storeu_si512(p, v); }
inline I broadcast4(const void* p) {
  int32_t v;
  __builtin_memcpy(&v, p, 4);
  return _mm512_set1_epi32(v);
}
inline I iadd(I a, I b) { return _mm512_add_epi32(a, b); }
inline I isub(I a, I b) { return _mm512_sub_epi32(a, b); }
inline I imul(I a, I b) { return _mm512_mullo_epi32(a, b); }
template <int kBits>
inline I ishl(I a) { return _mm512_slli_epi32(a, kBits); }
inline I iand(I a, int32_t bits) { return _mm512_and_si512(a, _mm512_set1_epi32(bits)); }
inline I ior(I a, I b) { return _mm512_or_si512(a, b); }
template <int kBits>
inline I ishr(I a) { return _mm512_srli_epi32(a, kBits); }
template <int kBits>
inline I isar(I a) { return _mm512_srai_epi32(a, kBits); }
// The same for 256-bit vectors.
inline __m256i iand(__m256i a, int32_t bits) {
  return _mm256_and_si256(a, _mm256_set1_epi32(bits));
}
inline __m256i ior(__m256i a, __m256i b) { return _mm256_or_si256(a, b); }
template <int kBits>
inline __m256i ishl(__m256i a) { return _mm256_slli_epi32(a, kBits); }
template <int kBits>
inline __m256i ishr(__m256i a) { return _mm256_srli_epi32(a, kBits); }
inline F to_float(I v) { return _mm512_cvtepi32_ps(v); }
// acc + u8 x s8 in groups of four; acc + s16 x s16 in pairs.
inline I dot4(I acc, I u, I s) { return _mm512_dpbusd_epi32(acc, u, s); }
inline I dot2(I acc, I a, I b) { return _mm512_dpwssd_epi32(acc, a, b); }
inline I dot4_signed(I acc, I, I) { return acc; }   // not used: kSignedDot

inline __m256i hdot4(__m256i u, __m256i s) {
  return _mm256_dpbusd_epi32(_mm256_setzero_si256(), u, s);
}
inline __m256i hdot4_signed(__m256i, __m256i) { return _mm256_setzero_si256(); }   // not used
inline __m256i hdot2(__m256i acc, __m256i a, __m256i b) { return _mm256_dpwssd_epi32(acc, a, b); }

// rows[0..15]: 32 bytes each. Writes eight vectors: vector i holds bytes 4i..4i+3 of every row.
inline void transpose_store(const __m256i* rows, std::byte* out) {
  I z[8];
  for (int r = 0; r < 8; ++r) {
    z[r] = _mm512_inserti64x4(_mm512_castsi256_si512(rows[r]), rows[r + 8], 1);
  }
  I a[8];
  for (int r = 0; r < 8; r += 2) {
    a[r] = _mm512_unpacklo_epi32(z[r], z[r + 1]);
    a[r + 1] = _mm512_unpackhi_epi32(z[r], z[r + 1]);
  }
  // b[i], i < 4: dwords i (low 128 of each half) and i + 4 (high) of rows 0..3; b[i + 4]: rows
  // 4..7.
  I b[8];
  for (int h = 0; h < 8; h += 4) {
    b[h + 0] = _mm512_unpacklo_epi64(a[h], a[h + 2]);
    b[h + 1] = _mm512_unpackhi_epi64(a[h], a[h + 2]);
    b[h + 2] = _mm512_unpacklo_epi64(a[h + 1], a[h + 3]);
    b[h + 3] = _mm512_unpackhi_epi64(a[h + 1], a[h + 3]);
  }
  const I low = _mm512_setr_epi64(0, 1, 8, 9, 4, 5, 12, 13);
  const I high = _mm512_setr_epi64(2, 3, 10, 11, 6, 7, 14, 15);
  for (int i = 0; i < 4; ++i) {
    istore(out + 64 * i, _mm512_permutex2var_epi64(b[i], low, b[i + 4]));
    istore(out + 64 * (i + 4), _mm512_permutex2var_epi64(b[i], high, b[i + 4]));
  }
}
