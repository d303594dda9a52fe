// engine/kernels/cpu/simd_avx2.inl — The vector operations of simd_avx512.inl for AVX2, FMA and
// F16C. Included by isa_avx2.cpp inside its namespace.

constexpr int kLanes = 8;
constexpr int kFloatRows = 2, kFloatTokens = 4;   // register tile of float products: 8 + 2 + 1
constexpr int kQuantTokens = 4;                   // tokens of the integer tile: 4 + 4 + 4
// vpmaddubsw saturates at 16 bits: unsigned weights must stay below 128, so signed codes stay
// signed.
constexpr bool kSignedDot = true;

using F = __m256;
using I = __m256i;

alignas(32) constexpr int32_t kFirstMask[16] = {-1, -1, -1, -1, -1, -1, -1, -1,
                                                0,  0,  0,  0,  0,  0,  0,  0};

inline F zero() { return _mm256_setzero_ps(); }
inline F set1(float v) { return _mm256_set1_ps(v); }
inline F load(const float* p) { return _mm256_loadu_ps(p); }
inline void store(float* p, F v) { _mm256_storeu_ps(p, v); }
inline __m256i first(int n) {
  return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kFirstMask + 8 - n));
}
inline F load_first(const float* p, int n) { return _mm256_maskload_ps(p, first(n)); }
inline void store_first(float* p, F v, int n) { _mm256_maskstore_ps(p, first(n), v); }
inline F add(F a, F b) { return _mm256_add_ps(a, b); }
inline F sub(F a, F b) { return _mm256_sub_ps(a, b); }
inline F mul(F a, F b) { return _mm256_mul_ps(a, b); }
inline F div(F a, F b) { return _mm256_div_ps(a, b); }
inline F fma(F a, F b, F c) { return _mm256_fmadd_ps(a, b, c); }
inline F fnma(F a, F b, F c) { return _mm256_fnmadd_ps(a, b, c); }
inline F max(F a, F b) { return _mm256_max_ps(a, b); }
inline F min(F a, F b) { return _mm256_min_ps(a, b); }
inline F abs(F a) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), a); }
inline float sum(F v) {
  __m128 s = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_add_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_add_ss(s, _mm_movehdup_ps(s)));
}
inline float max_of(F v) {
  __m128 s = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  s = _mm_max_ps(s, _mm_movehl_ps(s, s));
  return _mm_cvtss_f32(_mm_max_ss(s, _mm_movehdup_ps(s)));
}
inline F load_f16(const void* p) {
  return _mm256_cvtph_ps(_mm_loadu_si128(static_cast<const __m128i*>(p)));
}
inline void store_f16(void* p, F v) {
  _mm_storeu_si128(static_cast<__m128i*>(p),
                   _mm256_cvtps_ph(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC));
}
inline F load_bf16(const void* p) {
  const __m128i half = _mm_loadu_si128(static_cast<const __m128i*>(p));
  return _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(half), 16));
}
inline F load_i8(const void* p) {
  const __m128i codes = _mm_loadl_epi64(static_cast<const __m128i*>(p));
  return _mm256_cvtepi32_ps(_mm256_cvtepi8_epi32(codes));
}
inline F round_even(F v) {
  return _mm256_round_ps(v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC);
}
inline F pow2(F n) {
  const I biased = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(biased, 23));
}
inline F keep_first(F v, int n, F other) {
  return _mm256_blendv_ps(other, v, _mm256_castsi256_ps(first(n)));
}
inline F keep_above(F x, F low, F v) { return _mm256_and_ps(_mm256_cmp_ps(x, low, _CMP_GT_OQ), v); }
inline void store_codes(int8_t* p, F v) {
  const I wide = _mm256_cvtps_epi32(v);
  const __m128i words = _mm_packs_epi32(_mm256_castsi256_si128(wide),
                                        _mm256_extracti128_si256(wide, 1));
  _mm_storel_epi64(reinterpret_cast<__m128i*>(p), _mm_packs_epi16(words, words));
}

inline I izero() { return _mm256_setzero_si256(); }
inline I iload(const void* p) { return _mm256_loadu_si256(static_cast<const I*>(p)); }
inline void istore(void* p, I v) { _mm256_storeu_si256(static_cast<I*>(p), v); }
inline I broadcast4(const void* p) {
  int32_t v;
  __builtin_memcpy(&v, p, 4);
  return _mm256_set1_epi32(v);
}
inline I iadd(I a, I b) { return _mm256_add_epi32(a, b); }
inline I isub(I a, I b) { return _mm256_sub_epi32(a, b); }
inline I imul(I a, I b) { return _mm256_mullo_epi32(a, b); }
template <int kBits>
inline I ishl(I a) { return _mm256_slli_epi32(a, kBits); }
inline I iand(I a, int32_t bits) { return _mm256_and_si256(a, _mm256_set1_epi32(bits)); }
inline I ior(I a, I b) { return _mm256_or_si256(a, b); }
template <int kBits>
inline I ishr(I a) { return _mm256_srli_epi32(a, kBits); }
template <int kBits>
inline I isar(I a) { return _mm256_srai_epi32(a, kBits); }
inline F to_float(I v) { return _mm256_cvtepi32_ps(v); }
inline __m256i hdot4(__m256i u, __m256i s) {
  return _mm256_madd_epi16(_mm256_maddubs_epi16(u, s), _mm256_set1_epi16(1));
}
// |w| <= 128 and |x| <= 127: two products fit in 16 bits.
inline __m256i hdot4_signed(__m256i w, __m256i x) {
  return hdot4(_mm256_sign_epi8(w, w), _mm256_sign_epi8(x, w));
}
inline __m256i hdot2(__m256i acc, __m256i a, __m256i b) {
  return _mm256_add_epi32(acc, _mm256_madd_epi16(a, b));
}
inline I dot4(I acc, I u, I s) { return _mm256_add_epi32(acc, hdot4(u, s)); }
inline I dot4_signed(I acc, I w, I x) { return _mm256_add_epi32(acc, hdot4_signed(w, x)); }
inline I dot2(I acc, I a, I b) { return hdot2(acc, a, b); }

// rows[0..7]: 32 bytes each. Writes eight vectors: vector i holds bytes 4i..4i+3 of every row.
inline void transpose_store(const __m256i* rows, std::byte* out) {
  I a[8];
  for (int r = 0; r < 8; r += 2) {
    a[r] = _mm256_unpacklo_epi32(rows[r], rows[r + 1]);
    a[r + 1] = _mm256_unpackhi_epi32(rows[r], rows[r + 1]);
  }
  I b[8];
  for (int h = 0; h < 8; h += 4) {
    b[h + 0] = _mm256_unpacklo_epi64(a[h], a[h + 2]);
    b[h + 1] = _mm256_unpackhi_epi64(a[h], a[h + 2]);
    b[h + 2] = _mm256_unpacklo_epi64(a[h + 1], a[h + 3]);
    b[h + 3] = _mm256_unpackhi_epi64(a[h + 1], a[h + 3]);
  }
  for (int i = 0; i < 4; ++i) {
    istore(out + 32 * i, _mm256_permute2x128_si256(b[i], b[i + 4], 0x20));
    istore(out + 32 * (i + 4), _mm256_permute2x128_si256(b[i], b[i + 4], 0x31));
  }
}
