// engine/kernels/cpu/dot_float.inl — Products of float weights (F32, F16, BF16) with f32 rows.
// Lane l of the accumulator of (row, token) sums columns l, l + kLanes, ... in order and the lanes
// are added in one fixed order at the end, so a result does not depend on the tile it was computed
// in.

struct LoadF32 {
  static constexpr int kBytes = 4;
  static F full(const std::byte* p) { return load(reinterpret_cast<const float*>(p)); }
};
struct LoadF16 {
  static constexpr int kBytes = 2;
  static F full(const std::byte* p) { return load_f16(p); }
};
struct LoadBf16 {
  static constexpr int kBytes = 2;
  static F full(const std::byte* p) { return load_bf16(p); }
};

template <class Type>
inline F load_weight(const std::byte* row, int32_t col, int lanes) {
  const std::byte* p = row + static_cast<size_t>(col) * Type::kBytes;
  if (lanes == kLanes) return Type::full(p);
  std::byte padded[kLanes * Type::kBytes] = {};
  __builtin_memcpy(padded, p, static_cast<size_t>(lanes) * Type::kBytes);
  return Type::full(padded);
}

template <class Type, int kRows, int kTokens>
inline void float_tile(const std::byte* const* rows, const float* const* x, int32_t cols, float* y,
                       size_t y_stride, int rows_used) {
  F acc[kRows][kTokens];
  for (auto& line : acc) {
    for (F& a : line) a = zero();
  }
  const auto step = [&](int32_t c, int lanes) __attribute__((always_inline)) {
    F w[kRows];
    for (int r = 0; r < kRows; ++r) w[r] = load_weight<Type>(rows[r], c, lanes);
    for (int t = 0; t < kTokens; ++t) {
      const F v = load_lanes(x[t] + c, lanes);
      for (int r = 0; r < kRows; ++r) acc[r][t] = fma(w[r], v, acc[r][t]);
    }
  };
  int32_t c = 0;
  for (; c + kLanes <= cols; c += kLanes) step(c, kLanes);
  if (c < cols) step(c, cols - c);
  for (int t = 0; t < kTokens; ++t) {
    for (int r = 0; r < rows_used; ++r) y[static_cast<size_t>(t) * y_stride + r] = sum(acc[r][t]);
  }
}

inline const float* input_row(const DotJob& job, int32_t i) {
  const int32_t row = job.x_rows ? job.x_rows[i] : i;
  return job.x + static_cast<size_t>(row) * static_cast<size_t>(job.cols);
}

// kTokens tokens starting at t, then what is left with smaller tiles.
template <class Type, int kTokens>
inline int32_t float_tokens(const DotJob& job, const std::byte* const* rows, int32_t row,
                            int rows_used, int32_t t) {
  for (; t + kTokens <= job.tokens; t += kTokens) {
    const float* x[kTokens];
    for (int i = 0; i < kTokens; ++i) x[i] = input_row(job, t + i);
    float_tile<Type, kFloatRows, kTokens>(
        rows, x, job.cols, job.y + static_cast<size_t>(t) * job.y_stride + row, job.y_stride,
        rows_used);
  }
  return t;
}

template <class Type>
void dot_float(const DotJob& job, int32_t row_begin, int32_t row_end, std::byte*) {
  for (int32_t row = row_begin; row < row_end; row += kFloatRows) {
    const int used = row_end - row < kFloatRows ? row_end - row : kFloatRows;
    const std::byte* rows[kFloatRows];
    for (int r = 0; r < kFloatRows; ++r) {   // missing rows repeat the last one, unused
      rows[r] = job.weight + static_cast<size_t>(row + (r < used ? r : used - 1)) * job.row_bytes;
    }
    int32_t t = float_tokens<Type, kFloatTokens>(job, rows, row, used, 0);
    t = float_tokens<Type, 2>(job, rows, row, used, t);
    float_tokens<Type, 1>(job, rows, row, used, t);
  }
}
