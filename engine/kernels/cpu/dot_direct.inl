// engine/kernels/cpu/dot_direct.inl — Quantised products for few tokens: eight rows at a time
// straight from the file. Memory-bound: each weight byte is read once. Sums of a block are exact
// integers and blocks are added in order with the same two operations as in dot_tiled.inl, so both
// give equal bits.

struct DirectRows {
  const std::byte* row[8];
};

inline DirectRows direct_rows(const DotJob& job, int32_t row, int32_t row_end) {
  DirectRows rows;
  for (int r = 0; r < 8; ++r) {   // missing rows repeat the last one; their results are not stored
    const int32_t index = row + r < row_end ? row + r : row_end - 1;
    rows.row[r] = job.weight + static_cast<size_t>(index) * job.row_bytes;
  }
  return rows;
}

inline size_t quant_row(const DotJob& job, int32_t token) {
  return static_cast<size_t>(job.x_rows ? job.x_rows[token] : token);
}

inline void store_rows(const DotJob& job, int32_t token, int32_t row, int32_t row_end, __m256 v) {
  float* y = job.y + static_cast<size_t>(token) * job.y_stride + row;
  if (row + 8 <= row_end) {
    _mm256_storeu_ps(y, v);
    return;
  }
  float lanes[8];
  _mm256_storeu_ps(lanes, v);
  for (int32_t r = 0; row + r < row_end; ++r) y[r] = lanes[r];
}

// Weights of the next eight rows follow those of these eight in the file: fetch them linearly.
inline void prefetch_block(const std::byte* base, size_t ahead, int bytes) {
  for (int i = 0; i < bytes; i += 64) {
    _mm_prefetch(reinterpret_cast<const char*>(base) + ahead + static_cast<size_t>(i), _MM_HINT_T0);
  }
}

template <class Type, int kTokens>
inline void direct_32(const DotJob& job, int32_t row, int32_t row_end, int32_t token) {
  const DirectRows rows = direct_rows(job, row, row_end);
  const size_t blocks = static_cast<size_t>(job.cols / 32);
  size_t x_base[kTokens];
  __m256 acc[kTokens];
  for (int t = 0; t < kTokens; ++t) {
    x_base[t] = quant_row(job, token + t) * blocks;
    acc[t] = _mm256_setzero_ps();
  }
  for (size_t b = 0; b < blocks; ++b) {
    const size_t at = b * Type::kBlockBytes;
    prefetch_block(rows.row[0] + b * 8 * Type::kBlockBytes, 8 * job.row_bytes,
                   8 * Type::kBlockBytes);
    uint16_t bits[8];
    __m256i codes[8];
    for (int r = 0; r < 8; ++r) {
      bits[r] = Type::scale_bits(rows.row[r] + at);
      codes[r] = Type::codes(rows.row[r] + at);
    }
    const __m256 d = f16_lanes(bits);
    for (int t = 0; t < kTokens; ++t) {
      const __m256i x = hload(reinterpret_cast<const std::byte*>(job.quant.codes) +
                              (x_base[t] + b) * 32);
      __m256i lanes[8];
      for (int r = 0; r < 8; ++r) {
        lanes[r] = Type::kSigned ? hdot4_signed(codes[r], x) : hdot4(codes[r], x);
      }
      __m256i total = reduce_rows(lanes);
      if (!Type::kSigned) {
        const __m256i sum = _mm256_set1_epi32(job.quant.sums[x_base[t] + b]);
        total = _mm256_sub_epi32(total, _mm256_slli_epi32(sum, Type::kOffsetShift));
      }
      const __m256 factor = _mm256_mul_ps(d, _mm256_set1_ps(job.quant.scales[x_base[t] + b]));
      acc[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(total), factor, acc[t]);
    }
  }
  for (int t = 0; t < kTokens; ++t) store_rows(job, token + t, row, row_end, acc[t]);
}

// Lanes [scale 2j x 8 | scale 2j x 8] (mins types) or [scale 2j x 8 | scale 2j+1 x 8] after pick():
// a shuffle that repeats 16-bit element j of each half.
template <int kElement>
inline __m256i repeat_word(__m256i words) {
  return _mm256_shuffle_epi8(words, _mm256_set1_epi16(static_cast<short>(
                                        (2 * kElement) | ((2 * kElement + 1) << 8))));
}

// Sums of one block of one row: sum over sub-blocks of scale * dot, and of min * sum of codes.
template <class Type, int kTokens>
inline void direct_block_mins(const std::byte* block, const int8_t* const* x,
                              const int16_t* const* sums32, __m256i (*dots)[8],
                              __m128i (*mins)[8], int r) {
  const __m256i words = _mm256_cvtepu8_epi16(scales_and_mins(Type::scales(block)));
  const __m256i scales = _mm256_permute2x128_si256(words, words, 0x00);
  __m256i acc[kTokens];
  for (int t = 0; t < kTokens; ++t) acc[t] = _mm256_setzero_si256();
  for_each_sub([&](auto sub) __attribute__((always_inline)) {
    const __m256i codes = row_codes<Type, sub()>(block);
    const __m256i scale = repeat_word<sub()>(scales);
    for (int t = 0; t < kTokens; ++t) {
      const __m256i v = hload(reinterpret_cast<const std::byte*>(x[t]) + 32 * sub());
      acc[t] = hdot2(acc[t], _mm256_maddubs_epi16(codes, v), scale);
    }
  });
  const __m128i min_words = _mm256_extracti128_si256(words, 1);
  for (int t = 0; t < kTokens; ++t) {
    dots[t][r] = acc[t];
    mins[t][r] = _mm_madd_epi16(min_words,
                                _mm_loadu_si128(reinterpret_cast<const __m128i*>(sums32[t])));
  }
}

template <class Type, int kTokens>
inline void direct_mins(const DotJob& job, int32_t row, int32_t row_end, int32_t token) {
  const DirectRows rows = direct_rows(job, row, row_end);
  const size_t blocks = static_cast<size_t>(job.cols / 256);
  size_t x_base[kTokens];
  __m256 acc[kTokens];
  for (int t = 0; t < kTokens; ++t) {
    x_base[t] = quant_row(job, token + t) * blocks;
    acc[t] = _mm256_setzero_ps();
  }
  for (size_t b = 0; b < blocks; ++b) {
    const int8_t* x[kTokens];
    const int16_t* sums[kTokens];
    for (int t = 0; t < kTokens; ++t) {
      x[t] = job.quant.codes + (x_base[t] + b) * 256;
      sums[t] = job.quant.sums32 + (x_base[t] + b) * 8;
    }
    prefetch_block(rows.row[0] + b * 8 * Type::kBlockBytes, 8 * job.row_bytes,
                   8 * Type::kBlockBytes);
    __m256i dots[kTokens][8];
    __m128i mins[kTokens][8];
    uint16_t d_bits[8], dmin_bits[8];
    for (int r = 0; r < 8; ++r) {
      const std::byte* block = rows.row[r] + b * Type::kBlockBytes;
      d_bits[r] = load_u16(block);
      dmin_bits[r] = load_u16(block + 2);
      direct_block_mins<Type, kTokens>(block, x, sums, dots, mins, r);
    }
    const __m256 d = f16_lanes(d_bits);
    const __m256 dmin = f16_lanes(dmin_bits);
    for (int t = 0; t < kTokens; ++t) {
      const __m256 dx = _mm256_set1_ps(job.quant.scales[x_base[t] + b]);
      acc[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(reduce_rows(dots[t])), _mm256_mul_ps(d, dx),
                               acc[t]);
      acc[t] = _mm256_fnmadd_ps(_mm256_cvtepi32_ps(reduce_rows(mins[t])), _mm256_mul_ps(dmin, dx),
                                acc[t]);
    }
  }
  for (int t = 0; t < kTokens; ++t) store_rows(job, token + t, row, row_end, acc[t]);
}

template <int kTokens>
inline void direct_block_q6(const std::byte* block, const int8_t* const* x,
                            const int16_t* const* sums16, __m256i (*dots)[8], int r) {
  using Type = TypeQ6_K;
  const __m128i packed = _mm_loadu_si128(reinterpret_cast<const __m128i*>(Type::scales(block)));
  const __m256i in_order = _mm256_cvtepi8_epi16(packed);
  // Even scales to the lower half, odd ones to the upper: sub-block j of 32 holds scales 2j, 2j+1.
  const __m256i scales = _mm256_cvtepi8_epi16(_mm_shuffle_epi8(
      packed, _mm_setr_epi8(0, 2, 4, 6, 8, 10, 12, 14, 1, 3, 5, 7, 9, 11, 13, 15)));
  __m256i acc[kTokens];
  for (int t = 0; t < kTokens; ++t) {
    const __m256i offset = _mm256_madd_epi16(
        in_order, hload(reinterpret_cast<const std::byte*>(sums16[t])));
    acc[t] = _mm256_sub_epi32(_mm256_setzero_si256(),
                              _mm256_slli_epi32(offset, Type::kOffsetShift));
  }
  for_each_sub([&](auto sub) __attribute__((always_inline)) {
    const __m256i codes = row_codes<Type, sub()>(block);
    const __m256i scale = repeat_word<sub()>(scales);
    for (int t = 0; t < kTokens; ++t) {
      const __m256i v = hload(reinterpret_cast<const std::byte*>(x[t]) + 32 * sub());
      acc[t] = hdot2(acc[t], _mm256_maddubs_epi16(codes, v), scale);
    }
  });
  for (int t = 0; t < kTokens; ++t) dots[t][r] = acc[t];
}

template <class Type, int kTokens>
inline void direct_q6(const DotJob& job, int32_t row, int32_t row_end, int32_t token) {
  const DirectRows rows = direct_rows(job, row, row_end);
  const size_t blocks = static_cast<size_t>(job.cols / 256);
  size_t x_base[kTokens];
  __m256 acc[kTokens];
  for (int t = 0; t < kTokens; ++t) {
    x_base[t] = quant_row(job, token + t) * blocks;
    acc[t] = _mm256_setzero_ps();
  }
  for (size_t b = 0; b < blocks; ++b) {
    const int8_t* x[kTokens];
    const int16_t* sums[kTokens];
    for (int t = 0; t < kTokens; ++t) {
      x[t] = job.quant.codes + (x_base[t] + b) * 256;
      sums[t] = job.quant.sums16 + (x_base[t] + b) * 16;
    }
    prefetch_block(rows.row[0] + b * 8 * Type::kBlockBytes, 8 * job.row_bytes,
                   8 * Type::kBlockBytes);
    __m256i dots[kTokens][8];
    uint16_t d_bits[8];
    for (int r = 0; r < 8; ++r) {
      const std::byte* block = rows.row[r] + b * Type::kBlockBytes;
      d_bits[r] = Type::scale_bits(block);
      direct_block_q6<kTokens>(block, x, sums, dots, r);
    }
    const __m256 d = f16_lanes(d_bits);
    for (int t = 0; t < kTokens; ++t) {
      const __m256 dx = _mm256_set1_ps(job.quant.scales[x_base[t] + b]);
      acc[t] = _mm256_fmadd_ps(_mm256_cvtepi32_ps(reduce_rows(dots[t])), _mm256_mul_ps(d, dx),
                               acc[t]);
    }
  }
  for (int t = 0; t < kTokens; ++t) store_rows(job, token + t, row, row_end, acc[t]);
}
