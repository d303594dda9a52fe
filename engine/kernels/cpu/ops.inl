// engine/kernels/cpu/ops.inl — Row operations in terms of simd_*.inl. Each output element is
// computed the same way wherever it stands, so rows may be cut anywhere.

// exp(x) to about 2 ulp: 2^n * exp(r), |r| <= ln 2 / 2, polynomial of Cephes' expf (Moshier).
// Below -87 the result is 0, above 88 it stays at exp(88).
inline F exp_lanes(F x) {
  const F low = set1(-87.0f);
  const F clamped = min(max(x, low), set1(88.0f));
  const F n = round_even(mul(clamped, set1(1.44269504088896341f)));
  F r = fnma(n, set1(0.693359375f), clamped);
  r = fnma(n, set1(-2.12194440e-4f), r);
  F p = set1(1.9875691500e-4f);
  p = fma(p, r, set1(1.3981999507e-3f));
  p = fma(p, r, set1(8.3334519073e-3f));
  p = fma(p, r, set1(4.1665795894e-2f));
  p = fma(p, r, set1(1.6666665459e-1f));
  p = fma(p, r, set1(5.0000001201e-1f));
  p = add(fma(mul(p, r), r, r), set1(1.0f));
  return keep_above(x, low, mul(p, pow2(n)));
}

// Runs body(first element, lanes in use) over count elements.
template <class Body>
inline void for_lanes(int32_t count, Body body) {
  int32_t i = 0;
  for (; i + kLanes <= count; i += kLanes) body(i, kLanes);
  if (i < count) body(i, count - i);
}

inline F load_lanes(const float* p, int lanes) {
  return lanes == kLanes ? load(p) : load_first(p, lanes);
}
inline void store_lanes(float* p, F v, int lanes) {
  if (lanes == kLanes) {
    store(p, v);
  } else {
    store_first(p, v, lanes);
  }
}

void rms_norm(const float* x, const float* weight, float eps, int32_t count, float* out) {
  F squares = zero();
  for_lanes(count, [&](int32_t i, int lanes) {
    const F v = load_lanes(x + i, lanes);
    squares = fma(v, v, squares);
  });
  const float mean = sum(squares) / static_cast<float>(count);
  const F factor = set1(1.0f / __builtin_sqrtf(mean + eps));
  for_lanes(count, [&](int32_t i, int lanes) {
    const F v = mul(load_lanes(x + i, lanes), factor);
    store_lanes(out + i, mul(v, load_lanes(weight + i, lanes)), lanes);
  });
}

void add_rows(float* y, const float* x, size_t count) {
  size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) store(y + i, add(load(y + i), load(x + i)));
  for (; i < count; ++i) y[i] += x[i];
}

void add_scaled(float* y, const float* x, float factor, int32_t count) {
  const F f = set1(factor);
  for_lanes(count, [&](int32_t i, int lanes) {
    store_lanes(y + i, fma(load_lanes(x + i, lanes), f, load_lanes(y + i, lanes)), lanes);
  });
}

void silu_mul(float* gate, const float* up, int32_t count) {
  for_lanes(count, [&](int32_t i, int lanes) {
    const F g = load_lanes(gate + i, lanes);
    const F s = div(g, add(set1(1.0f), exp_lanes(sub(zero(), g))));
    store_lanes(gate + i, mul(s, load_lanes(up + i, lanes)), lanes);
  });
}

void to_f16(const float* x, int32_t count, uint16_t* out) {
  for_lanes(count, [&](int32_t i, int lanes) {
    uint16_t half[kLanes];
    store_f16(half, load_lanes(x + i, lanes));
    __builtin_memcpy(out + i, half, static_cast<size_t>(lanes) * 2);
  });
}

// Codes of one block of `count` elements (a multiple of 32); returns the scale.
inline float quantize_block(const float* x, int32_t count, int8_t* codes) {
  F top = zero();
  for (int32_t i = 0; i < count; i += kLanes) top = max(top, abs(load(x + i)));
  const float scale = max_of(top) / 127.0f;
  const F inverse = set1(scale > 0 ? 1.0f / scale : 0.0f);
  for (int32_t i = 0; i < count; i += kLanes) {
    const F code = round_even(mul(load(x + i), inverse));
    store_codes(codes + i, max(min(code, set1(127.0f)), set1(-127.0f)));
  }
  return scale;
}

inline int32_t sum_codes(const int8_t* codes, int32_t count) {
  int32_t total = 0;
  for (int32_t i = 0; i < count; ++i) total += codes[i];
  return total;
}

void quantize_32(const float* x, const QuantRows& out, int32_t row) {
  const size_t blocks = static_cast<size_t>(out.cols / 32);
  const size_t base = static_cast<size_t>(row) * blocks;
  for (size_t b = 0; b < blocks; ++b) {
    int8_t* codes = out.codes + (base + b) * 32;
    out.scales[base + b] = quantize_block(x + b * 32, 32, codes);
    out.sums[base + b] = sum_codes(codes, 32);
  }
}

void quantize_256(const float* x, const QuantRows& out, int32_t row) {
  const size_t blocks = static_cast<size_t>(out.cols / 256);
  const size_t base = static_cast<size_t>(row) * blocks;
  for (size_t b = 0; b < blocks; ++b) {
    int8_t* codes = out.codes + (base + b) * 256;
    out.scales[base + b] = quantize_block(x + b * 256, 256, codes);
    int16_t* sums16 = out.sums16 + (base + b) * 16;
    int16_t* sums32 = out.sums32 + (base + b) * 8;
    for (int i = 0; i < 16; ++i) sums16[i] = static_cast<int16_t>(sum_codes(codes + 16 * i, 16));
    for (int i = 0; i < 8; ++i) sums32[i] = static_cast<int16_t>(sums16[2 * i] + sums16[2 * i + 1]);
  }
}
