// engine/kernels/cpu/dot_tiled.inl — Quantised products for many tokens. kLanes rows x one panel of
// columns are unpacked once into scratch, so that one vector holds four columns of every row; then
// every token runs over the panel with its codes broadcast. No horizontal sums: lane = row.
//
// Panel, C = panel columns (a multiple of the block), L = kLanes:
//   codes   [C / 32][8][L][4]  bytes
//   scales  [C / sub][L]       i32          256-blocks; sub = 32 or 16 columns
//   pairs   [C / (2 sub)][L]   2 x i16      mins (Q4_K, Q5_K) or scales (Q6_K) of adjacent
// sub-blocks
//   d, dmin [C / block][L]     f32
// Partial sums between panels live in y; storing an f32 loses nothing.

struct Panel {
  std::byte* codes;
  int32_t* scales;
  int16_t* pairs;
  float* d;
  float* dmin;
};

inline Panel carve_panel(std::byte* scratch) {
  constexpr size_t kColumns = static_cast<size_t>(kPanelCols) * kLanes;
  Panel panel;
  panel.codes = scratch;
  panel.scales = reinterpret_cast<int32_t*>(scratch + kColumns);
  panel.pairs = reinterpret_cast<int16_t*>(scratch + kColumns + kColumns / 4);
  panel.d = reinterpret_cast<float*>(scratch + kColumns + kColumns / 4 + kColumns / 8);
  panel.dmin = panel.d + kColumns / 32;
  static_assert(kColumns + kColumns / 4 + kColumns / 8 + 2 * kColumns / 8 <= kDotScratchBytes);
  return panel;
}

inline void convert_scales(const uint16_t* bits, float* out) { store(out, load_f16(bits)); }

// Weights of the next kLanes rows follow those of these in the file: fetch them linearly.
template <class Type>
inline void prefetch_next(const std::byte* const* rows, size_t block, size_t row_bytes) {
  prefetch_block(rows[0] + block * kLanes * Type::kBlockBytes, kLanes * row_bytes,
                 kLanes * Type::kBlockBytes);
}

template <class Type>
inline void unpack_32(const std::byte* const* rows, size_t row_bytes, size_t first_block,
                      size_t blocks, const Panel& panel) {
  for (size_t b = 0; b < blocks; ++b) {
    prefetch_next<Type>(rows, first_block + b, row_bytes);
    __m256i codes[kLanes];
    uint16_t bits[kLanes];
    for (int r = 0; r < kLanes; ++r) {
      const std::byte* block = rows[r] + (first_block + b) * Type::kBlockBytes;
      codes[r] = Type::codes(block);
      bits[r] = Type::scale_bits(block);
    }
    transpose_store(codes, panel.codes + b * 32 * kLanes);
    convert_scales(bits, panel.d + b * kLanes);
  }
}

// Packed pieces are brought side by side first and taken apart afterwards: fewer of them to move.
template <class Type>
inline void unpack_codes_256(const std::byte* const* rows, size_t block_index, std::byte* out) {
  alignas(64) std::byte moved[Type::kChunks][32 * kLanes];
  for (int c = 0; c < Type::kChunks; ++c) {
    __m256i pieces[kLanes];
    for (int r = 0; r < kLanes; ++r) {
      pieces[r] = hload(rows[r] + block_index * Type::kBlockBytes + Type::kChunksAt + 32 * c);
    }
    transpose_store(pieces, moved[c]);
  }
  for_each_sub([&](auto sub) __attribute__((always_inline)) {
    for (int i = 0; i < 8; ++i) {
      const I codes = Type::template codes<sub()>([&](int chunk) __attribute__((always_inline)) {
        return iload(moved[chunk] + i * 4 * kLanes);
      });
      istore(out + (sub() * 8 + i) * 4 * kLanes, codes);
    }
  });
}

// Sixteen bytes of every row as four vectors of dwords, lane = row.
inline void transpose_16(const std::byte* const* rows, size_t offset, I* out) {
  __m256i pieces[kLanes];
  for (int r = 0; r < kLanes; ++r) {
    pieces[r] = _mm256_castsi128_si256(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[r] + offset)));
  }
  alignas(64) std::byte moved[32 * kLanes];
  transpose_store(pieces, moved);
  for (int i = 0; i < 4; ++i) out[i] = iload(moved + i * 4 * kLanes);
}

// Byte kByte of every dword.
template <int kByte>
inline I byte_of(I v) { return iand(ishr<8 * kByte>(v), 0xff); }
template <int kByte>
inline I signed_byte_of(I v) { return isar<24>(ishl<24 - 8 * kByte>(v)); }

template <class Type>
inline void unpack_mins(const std::byte* const* rows, size_t row_bytes, size_t first_block,
                        size_t blocks, const Panel& panel) {
  for (size_t b = 0; b < blocks; ++b) {
    prefetch_next<Type>(rows, first_block + b, row_bytes);
    unpack_codes_256<Type>(rows, first_block + b, panel.codes + b * 256 * kLanes);
    uint16_t d[kLanes], dmin[kLanes];
    for (int r = 0; r < kLanes; ++r) {
      const std::byte* block = rows[r] + (first_block + b) * Type::kBlockBytes;
      d[r] = load_u16(block);
      dmin[r] = load_u16(block + 2);
    }
    convert_scales(d, panel.d + b * kLanes);
    convert_scales(dmin, panel.dmin + b * kLanes);
    // head[1..3]: the twelve bytes of scales and mins, as in scales_and_mins().
    I head[4];
    transpose_16(rows, (first_block + b) * Type::kBlockBytes, head);
    const I scales[2] = {iand(head[1], 0x3f3f3f3f),
                         ior(iand(head[3], 0x0f0f0f0f), iand(ishr<2>(head[1]), 0x30303030))};
    const I mins[2] = {iand(head[2], 0x3f3f3f3f), ior(iand(ishr<4>(head[3]), 0x0f0f0f0f),
                                                      iand(ishr<2>(head[2]), 0x30303030))};
    for (int q = 0; q < 2; ++q) {
      int32_t* out = panel.scales + (b * 8 + static_cast<size_t>(q) * 4) * kLanes;
      istore(out, byte_of<0>(scales[q]));
      istore(out + kLanes, byte_of<1>(scales[q]));
      istore(out + 2 * kLanes, byte_of<2>(scales[q]));
      istore(out + 3 * kLanes, byte_of<3>(scales[q]));
      int16_t* pairs = panel.pairs + (b * 8 + static_cast<size_t>(q) * 4) * kLanes;
      istore(pairs, ior(byte_of<0>(mins[q]), ishl<16>(byte_of<1>(mins[q]))));
      istore(pairs + 2 * kLanes, ior(byte_of<2>(mins[q]), ishl<16>(byte_of<3>(mins[q]))));
    }
  }
}

inline void unpack_q6(const std::byte* const* rows, size_t row_bytes, size_t first_block,
                      size_t blocks, const Panel& panel) {
  using Type = TypeQ6_K;
  for (size_t b = 0; b < blocks; ++b) {
    prefetch_next<Type>(rows, first_block + b, row_bytes);
    const size_t at = (first_block + b) * Type::kBlockBytes;
    unpack_codes_256<Type>(rows, first_block + b, panel.codes + b * 256 * kLanes);
    uint16_t d[kLanes];
    for (int r = 0; r < kLanes; ++r) d[r] = Type::scale_bits(rows[r] + at);
    convert_scales(d, panel.d + b * kLanes);
    I bytes[4];
    transpose_16(rows, at + 192, bytes);
    for (size_t q = 0; q < 4; ++q) {
      const I scales[4] = {signed_byte_of<0>(bytes[q]), signed_byte_of<1>(bytes[q]),
                           signed_byte_of<2>(bytes[q]), signed_byte_of<3>(bytes[q])};
      int32_t* out = panel.scales + (b * 16 + q * 4) * kLanes;
      int16_t* pairs = panel.pairs + (b * 16 + q * 4) * kLanes;
      for (int i = 0; i < 4; ++i) istore(out + i * kLanes, scales[i]);
      istore(pairs, ior(iand(scales[0], 0xffff), ishl<16>(scales[1])));
      istore(pairs + 2 * kLanes, ior(iand(scales[2], 0xffff), ishl<16>(scales[3])));
    }
  }
}

// Adds four columns of every row times four codes of every token.
template <bool kSigned, int kTokens>
inline void step4(const std::byte* w, const int8_t* const* x, size_t at, I* acc) {
  const I codes = iload(w);
  for (int t = 0; t < kTokens; ++t) {
    const I v = broadcast4(x[t] + at);
    acc[t] = kSigned ? dot4_signed(acc[t], codes, v) : dot4(acc[t], codes, v);
  }
}

// What a token tile needs to run over a panel: its rows of codes and sums, and its sums of floats.
template <int kTokens>
struct TileInput {
  const int8_t* codes[kTokens];     // of the first column of the panel
  const float* scales[kTokens];
  const int32_t* sums[kTokens];
  const int16_t* sums16[kTokens];
  const int16_t* sums32[kTokens];
};

template <int kTokens>
inline TileInput<kTokens> tile_input(const DotJob& job, int32_t token, size_t first_col,
                                     size_t block) {
  TileInput<kTokens> in;
  const QuantRows& q = job.quant;
  const auto cols = static_cast<size_t>(job.cols);
  for (int t = 0; t < kTokens; ++t) {
    const size_t row = quant_row(job, token + t);
    in.codes[t] = q.codes + row * cols + first_col;
    in.scales[t] = q.scales + (row * cols + first_col) / block;
    in.sums[t] = q.sums + (row * cols + first_col) / 32;
    in.sums16[t] = q.sums16 + (row * cols + first_col) / 16;
    in.sums32[t] = q.sums32 + (row * cols + first_col) / 32;
  }
  return in;
}

template <class Type, int kTokens>
inline void tile_32(const Panel& panel, size_t blocks, const TileInput<kTokens>& in, F* acc) {
  for (size_t b = 0; b < blocks; ++b) {
    I total[kTokens];
    for (int t = 0; t < kTokens; ++t) {
      total[t] = izero();
      if (!Type::kSigned) {
        total[t] = isub(total[t], ishl<Type::kOffsetShift>(broadcast4(in.sums[t] + b)));
      }
    }
    for (size_t k = 0; k < 8; ++k) {
      step4<Type::kSigned, kTokens>(panel.codes + (b * 8 + k) * 4 * kLanes, in.codes,
                                    b * 32 + k * 4, total);
    }
    const F d = load(panel.d + b * kLanes);
    for (int t = 0; t < kTokens; ++t) {
      acc[t] = fma(to_float(total[t]), mul(d, set1(in.scales[t][b])), acc[t]);
    }
  }
}

template <class Type, int kTokens>
inline void tile_mins(const Panel& panel, size_t blocks, const TileInput<kTokens>& in, F* acc) {
  for (size_t b = 0; b < blocks; ++b) {
    I total[kTokens];
    for (int t = 0; t < kTokens; ++t) total[t] = izero();
    for (size_t j = 0; j < 8; ++j) {
      I part[kTokens];
      for (int t = 0; t < kTokens; ++t) part[t] = izero();
      for (size_t k = 0; k < 8; ++k) {
        step4<false, kTokens>(panel.codes + ((b * 8 + j) * 8 + k) * 4 * kLanes, in.codes,
                              b * 256 + j * 32 + k * 4, part);
      }
      const I scale = iload(panel.scales + (b * 8 + j) * kLanes);
      for (int t = 0; t < kTokens; ++t) total[t] = iadd(total[t], imul(part[t], scale));
    }
    const F d = load(panel.d + b * kLanes);
    const F dmin = load(panel.dmin + b * kLanes);
    for (int t = 0; t < kTokens; ++t) {
      I mins = izero();
      for (size_t p = 0; p < 4; ++p) {
        mins = dot2(mins, iload(panel.pairs + (b * 4 + p) * 2 * kLanes),
                    broadcast4(in.sums32[t] + b * 8 + p * 2));
      }
      const F dx = set1(in.scales[t][b]);
      acc[t] = fma(to_float(total[t]), mul(d, dx), acc[t]);
      acc[t] = fnma(to_float(mins), mul(dmin, dx), acc[t]);
    }
  }
}

template <int kTokens>
inline void tile_q6(const Panel& panel, size_t blocks, const TileInput<kTokens>& in, F* acc) {
  for (size_t b = 0; b < blocks; ++b) {
    I total[kTokens];
    for (int t = 0; t < kTokens; ++t) {
      I offset = izero();
      for (size_t p = 0; p < 8; ++p) {
        offset = dot2(offset, iload(panel.pairs + (b * 8 + p) * 2 * kLanes),
                      broadcast4(in.sums16[t] + b * 16 + p * 2));
      }
      total[t] = isub(izero(), ishl<TypeQ6_K::kOffsetShift>(offset));
    }
    for (size_t j = 0; j < 16; ++j) {
      I part[kTokens];
      for (int t = 0; t < kTokens; ++t) part[t] = izero();
      for (size_t k = 0; k < 4; ++k) {
        step4<false, kTokens>(panel.codes + ((b * 16 + j) * 4 + k) * 4 * kLanes, in.codes,
                              b * 256 + j * 16 + k * 4, part);
      }
      const I scale = iload(panel.scales + (b * 16 + j) * kLanes);
      for (int t = 0; t < kTokens; ++t) total[t] = iadd(total[t], imul(part[t], scale));
    }
    const F d = load(panel.d + b * kLanes);
    for (int t = 0; t < kTokens; ++t) {
      acc[t] = fma(to_float(total[t]), mul(d, set1(in.scales[t][b])), acc[t]);
    }
  }
}

// The three shapes of blocks behind one name each for direct and tiled products.
template <class Type>
struct Family32 {
  static constexpr int kBlock = 32;
  template <int kTokens>
  static void direct(const DotJob& job, int32_t row, int32_t end, int32_t token) {
    direct_32<Type, kTokens>(job, row, end, token);
  }
  static void unpack(const std::byte* const* rows, size_t row_bytes, size_t first, size_t blocks,
                     const Panel& panel) {
    unpack_32<Type>(rows, row_bytes, first, blocks, panel);
  }
  template <int kTokens>
  static void tile(const Panel& panel, size_t blocks, const TileInput<kTokens>& in, F* acc) {
    tile_32<Type, kTokens>(panel, blocks, in, acc);
  }
};

template <class Type>
struct FamilyMins {
  static constexpr int kBlock = 256;
  template <int kTokens>
  static void direct(const DotJob& job, int32_t row, int32_t end, int32_t token) {
    direct_mins<Type, kTokens>(job, row, end, token);
  }
  static void unpack(const std::byte* const* rows, size_t row_bytes, size_t first, size_t blocks,
                     const Panel& panel) {
    unpack_mins<Type>(rows, row_bytes, first, blocks, panel);
  }
  template <int kTokens>
  static void tile(const Panel& panel, size_t blocks, const TileInput<kTokens>& in, F* acc) {
    tile_mins<Type, kTokens>(panel, blocks, in, acc);
  }
};

struct FamilyQ6 {
  static constexpr int kBlock = 256;
  template <int kTokens>
  static void direct(const DotJob& job, int32_t row, int32_t end, int32_t token) {
    direct_q6<TypeQ6_K, kTokens>(job, row, end, token);
  }
  static void unpack(const std::byte* const* rows, size_t row_bytes, size_t first, size_t blocks,
                     const Panel& panel) {
    unpack_q6(rows, row_bytes, first, blocks, panel);
  }
  template <int kTokens>
  static void tile(const Panel& panel, size_t blocks, const TileInput<kTokens>& in, F* acc) {
    tile_q6<kTokens>(panel, blocks, in, acc);
  }
};

template <class Family, int kTokens>
inline int32_t tiled_tokens(const DotJob& job, const Panel& panel, size_t first_col, size_t cols,
                            int32_t row, int lanes, int32_t t) {
  for (; t + kTokens <= job.tokens; t += kTokens) {
    const auto in = tile_input<kTokens>(job, t, first_col, Family::kBlock);
    float* y = job.y + static_cast<size_t>(t) * job.y_stride + row;
    F acc[kTokens];
    for (int i = 0; i < kTokens; ++i) {
      const float* sums = y + static_cast<size_t>(i) * job.y_stride;
      acc[i] = first_col == 0 ? zero() : load_lanes(sums, lanes);
    }
    Family::template tile<kTokens>(panel, cols / Family::kBlock, in, acc);
    for (int i = 0; i < kTokens; ++i) {
      store_lanes(y + static_cast<size_t>(i) * job.y_stride, acc[i], lanes);
    }
  }
  return t;
}

template <class Family>
inline void dot_tiled(const DotJob& job, int32_t row, int32_t row_end, std::byte* scratch) {
  const Panel panel = carve_panel(scratch);
  const int lanes = row_end - row < kLanes ? row_end - row : kLanes;
  const std::byte* rows[kLanes];
  for (int r = 0; r < kLanes; ++r) {
    rows[r] = job.weight + static_cast<size_t>(row + (r < lanes ? r : lanes - 1)) * job.row_bytes;
  }
  for (int32_t col = 0; col < job.cols; col += kPanelCols) {
    const int32_t cols = job.cols - col < kPanelCols ? job.cols - col : kPanelCols;
    const auto first = static_cast<size_t>(col), width = static_cast<size_t>(cols);
    Family::unpack(rows, job.row_bytes, first / Family::kBlock, width / Family::kBlock, panel);
    int32_t t = tiled_tokens<Family, kQuantTokens>(job, panel, first, width, row, lanes, 0);
    t = tiled_tokens<Family, 4>(job, panel, first, width, row, lanes, t);
    t = tiled_tokens<Family, 2>(job, panel, first, width, row, lanes, t);
    tiled_tokens<Family, 1>(job, panel, first, width, row, lanes, t);
  }
}

// From this many tokens on, unpacking pays.
constexpr int32_t kTiledTokensMin = 5;

template <class Family>
void dot_quant(const DotJob& job, int32_t row_begin, int32_t row_end, std::byte* scratch) {
  if (job.tokens >= kTiledTokensMin) {
    for (int32_t row = row_begin; row < row_end; row += kLanes) {
      const int32_t end = row + kLanes < row_end ? row + kLanes : row_end;
      dot_tiled<Family>(job, row, end, scratch);
    }
    return;
  }
  for (int32_t row = row_begin; row < row_end; row += 8) {
    int32_t t = 0;
    for (; t + 2 <= job.tokens; t += 2) Family::template direct<2>(job, row, row_end, t);
    for (; t < job.tokens; ++t) Family::template direct<1>(job, row, row_end, t);
  }
}
