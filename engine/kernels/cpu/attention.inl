// engine/kernels/cpu/attention.inl — Causal attention of one tile (up to kAttentionRows query rows
// that share a KV head) over paged K and V, with an online softmax.
// Keys are taken in blocks of kLanes that begin at absolute positions 0, kLanes, 2 kLanes, ...; a
// block is gathered from the pages into scratch (K transposed), so neither page size nor chunking
// changes any operation. Keys after a query's position weigh exactly 0; a block wholly after it
// leaves its state bit for bit as it was.
//
// Scratch, in floats: key_block [head_dim][kLanes], value_block [kLanes][width], queries and sums
// [rows][width] each, keys [kLanes][width], top and total [rows]; width = head_dim rounded up to
// lanes.

// KvLayer::place and what it needs, not shared with files compiled for other instruction sets.
inline size_t code_bytes(KvType type, size_t count) {
  if (type == KvType::f32) return count * 4;
  if (type == KvType::q8_0) return count;
  return type == KvType::q4_0 ? count / 2 : count * 2;
}
inline size_t scale_bytes(KvType type, size_t count) {
  return type == KvType::q8_0 || type == KvType::q4_0 ? count / kKvGroup * 2 : 0;
}
inline KvPlace kv_place(const KvLayer& kv, KvType type, int32_t page, int32_t head, int32_t slot) {
  const auto slots = static_cast<size_t>(kv.page_tokens);
  const auto at = static_cast<size_t>(slot);
  const size_t code_row = code_bytes(type, static_cast<size_t>(kv.head_dim));
  const size_t scale_row = scale_bytes(type, static_cast<size_t>(kv.head_dim));
  const size_t first = (static_cast<size_t>(page) * static_cast<size_t>(kv.kv_heads) +
                        static_cast<size_t>(head)) * slots * (code_row + scale_row);
  return {first + at * code_row, first + slots * code_row + at * scale_row};
}

inline int32_t padded(int32_t head_dim) { return (head_dim + kLanes - 1) / kLanes * kLanes; }

size_t attention_scratch_bytes(int32_t rows, int32_t head_dim) {
  const auto width = static_cast<size_t>(padded(head_dim));
  const auto count = static_cast<size_t>(rows);
  return (3 * width * kLanes + 2 * count * width + 2 * count) * sizeof(float);
}

inline float scale_at(const std::byte* scales, int32_t group) {
  uint16_t bits;
  __builtin_memcpy(&bits, scales + group * 2, 2);
  return _mm_cvtss_f32(_mm_cvtph_ps(_mm_cvtsi32_si128(bits)));
}

// Rows of f16 or bf16 whose last vector may be partly past their end.
template <class Load>
inline void load_half_row(const std::byte* codes, int32_t count, float* out, Load load_lanes_of) {
  for (int32_t j = 0; j < count; j += kLanes) {
    const int lanes = count - j < kLanes ? count - j : kLanes;
    if (lanes == kLanes) {
      store(out + j, load_lanes_of(codes + j * 2));
      continue;
    }
    uint16_t half[kLanes] = {};
    __builtin_memcpy(half, codes + j * 2, static_cast<size_t>(lanes) * 2);
    store(out + j, load_lanes_of(half));
  }
}

// head_dim is a multiple of 32 here: 16 nibble bytes make elements 0..15 and 16..31 of a group.
inline void load_q4_row(const std::byte* codes, const std::byte* scales, int32_t count,
                        float* out) {
  for (int32_t g = 0; g < count / kKvGroup; ++g) {
    const F scale = set1(scale_at(scales, g));
    const __m128i bytes = _mm_loadu_si128(reinterpret_cast<const __m128i*>(codes + g * 16));
    const __m128i low4 = _mm_set1_epi8(15);
    const __m128i halves[2] = {_mm_and_si128(bytes, low4),
                               _mm_and_si128(_mm_srli_epi16(bytes, 4), low4)};
    for (int h = 0; h < 2; ++h) {
      int8_t levels[16];
      _mm_storeu_si128(reinterpret_cast<__m128i*>(levels),
                       _mm_sub_epi8(halves[h], _mm_set1_epi8(8)));
      for (int j = 0; j < 16; j += kLanes) {
        store(out + g * kKvGroup + h * 16 + j, mul(load_i8(levels + j), scale));
      }
    }
  }
}

inline void load_kv_row(KvType type, const std::byte* base, KvPlace place, int32_t count,
                        float* out) {
  const std::byte* codes = base + place.codes;
  switch (type) {
    case KvType::f32:
      for (int32_t j = 0; j < count; j += kLanes) {
        const int lanes = count - j < kLanes ? count - j : kLanes;
        store(out + j, load_lanes(reinterpret_cast<const float*>(codes) + j, lanes));
      }
      return;
    case KvType::f16:
      return load_half_row(codes, count, out, [](const void* p) { return load_f16(p); });
    case KvType::bf16:
      return load_half_row(codes, count, out, [](const void* p) { return load_bf16(p); });
    case KvType::q8_0:
      for (int32_t j = 0; j < count; j += kLanes) {
        const F scale = set1(scale_at(base + place.scales, j / kKvGroup));
        store(out + j, mul(load_i8(codes + j), scale));
      }
      return;
    case KvType::q4_0: return load_q4_row(codes, base + place.scales, count, out);
  }
}

struct AttentionState {
  float* key_block;
  float* value_block;
  float* queries;
  float* sums;
  float* top;
  float* total;
  int32_t rows;
  int32_t width;
};

inline AttentionState carve_attention(std::byte* scratch, int32_t rows, int32_t head_dim) {
  AttentionState s;
  s.rows = rows;
  s.width = padded(head_dim);
  s.key_block = reinterpret_cast<float*>(scratch);
  s.value_block = s.key_block + s.width * kLanes;
  s.queries = s.value_block + s.width * kLanes;
  s.sums = s.queries + rows * s.width;
  s.top = s.sums + rows * s.width + s.width * kLanes;
  s.total = s.top + rows;
  return s;
}

// Keys first .. first + count - 1 of the sequence; the rest of the block is zero.
inline void gather_block(const AttentionTile& tile, const AttentionState& s, int32_t first,
                         int32_t count) {
  const KvLayer& kv = tile.kv;
  float* keys = s.sums + s.rows * s.width;     // [kLanes][width], then transposed into key_block
  for (int i = 0; i < kLanes; ++i) {
    float* key = keys + i * s.width;
    float* value = s.value_block + i * s.width;
    if (i < count) {
      const int32_t position = first + i;
      const int32_t page = tile.pages[position / kv.page_tokens];
      const int32_t slot = position % kv.page_tokens;
      const KvPlace k = kv_place(kv, kv.k_type, page, tile.kv_head, slot);
      const KvPlace v = kv_place(kv, kv.v_type, page, tile.kv_head, slot);
      load_kv_row(kv.k_type, kv.k, k, kv.head_dim, key);
      load_kv_row(kv.v_type, kv.v, v, kv.head_dim, value);
      continue;
    }
    for (int32_t j = 0; j < s.width; j += kLanes) {
      store(key + j, zero());
      store(value + j, zero());
    }
  }
  for (int32_t j = 0; j < s.width; j += 8) {
    __m256i rows[kLanes];
    for (int i = 0; i < kLanes; ++i) {
      rows[i] = hload(reinterpret_cast<const std::byte*>(keys + i * s.width + j));
    }
    transpose_store(rows, reinterpret_cast<std::byte*>(s.key_block + j * kLanes));
  }
}

// sums[row] = sums[row] * fade + sum over keys of weight * value, keys in order.
template <int kVectors>
inline void mix_values(const AttentionState& s, const float* weights, F fade, float* sums,
                       int32_t j) {
  F acc[kVectors];
  for (int v = 0; v < kVectors; ++v) acc[v] = mul(load(sums + j + v * kLanes), fade);
  for (int i = 0; i < kLanes; ++i) {
    const F w = set1(weights[i]);
    for (int v = 0; v < kVectors; ++v) {
      acc[v] = fma(w, load(s.value_block + i * s.width + j + v * kLanes), acc[v]);
    }
  }
  for (int v = 0; v < kVectors; ++v) store(sums + j + v * kLanes, acc[v]);
}

// Online softmax: folds the scores of one block into the state of one query row.
inline void fold_block(const AttentionState& s, int32_t row, F scores) {
  const float old_top = s.top[row];
  const float block_top = max_of(scores);
  const float top = block_top > old_top ? block_top : old_top;
  float weights[kLanes];
  const F w = exp_lanes(sub(scores, set1(top)));
  store(weights, w);
  F fade = set1(1.0f);                            // exp(0) is exactly 1: skipping it changes no bit
  if (block_top > old_top) fade = exp_lanes(set1(old_top - top));   // 0 at first
  float fades[kLanes];
  store(fades, fade);
  s.top[row] = top;
  s.total[row] = s.total[row] * fades[0] + sum(w);
  float* sums = s.sums + row * s.width;
  int32_t j = 0;
  for (; j + 4 * kLanes <= s.width; j += 4 * kLanes) mix_values<4>(s, weights, fade, sums, j);
  for (; j < s.width; j += kLanes) mix_values<1>(s, weights, fade, sums, j);
}

// Scores of kRows query rows against the block, then the fold. visible[r]: keys of the block at or
// before the row's position; the others become -infinity, and a row that sees none is left alone.
template <int kRows>
inline void score_rows(const AttentionTile& tile, const AttentionState& s, int32_t row,
                       int32_t first) {
  F scores[kRows];
  for (F& score : scores) score = zero();
  const float* q = s.queries + row * s.width;
  for (int32_t j = 0; j < tile.kv.head_dim; ++j) {
    const F key = load(s.key_block + j * kLanes);
    for (int r = 0; r < kRows; ++r) {
      scores[r] = fma(set1(q[r * s.width + j]), key, scores[r]);
    }
  }
  for (int r = 0; r < kRows; ++r) {
    const int32_t visible = tile.position + (row + r) / tile.group + 1 - first;
    if (visible <= 0) continue;
    const int lanes = visible < kLanes ? visible : kLanes;
    const F scaled = mul(scores[r], set1(tile.scale));
    fold_block(s, row + r, keep_first(scaled, lanes, set1(-__builtin_inff())));
  }
}

void attention(const AttentionTile& tile, std::byte* scratch) {
  const int32_t rows = tile.tokens * tile.group;
  const int32_t head_dim = tile.kv.head_dim;
  const AttentionState s = carve_attention(scratch, rows, head_dim);
  const auto row_of = [&](int32_t r) {
    return static_cast<size_t>(r / tile.group) * tile.token_stride +
           static_cast<size_t>(r % tile.group) * static_cast<size_t>(head_dim);
  };
  for (int32_t r = 0; r < rows; ++r) {
    const float* q = tile.q + row_of(r);
    for (int32_t j = 0; j < s.width; j += kLanes) {
      const int lanes = head_dim - j < kLanes ? head_dim - j : kLanes;
      store(s.queries + r * s.width + j, load_lanes(q + j, lanes));
      store(s.sums + r * s.width + j, zero());
    }
    s.top[r] = -__builtin_inff();
    s.total[r] = 0;
  }
  const int32_t end = tile.position + tile.tokens;     // keys that any row of the tile sees
  for (int32_t first = 0; first < end; first += kLanes) {
    gather_block(tile, s, first, end - first < kLanes ? end - first : kLanes);
    int32_t r = 0;
    for (; r + 8 <= rows; r += 8) score_rows<8>(tile, s, r, first);
    for (; r < rows; ++r) score_rows<1>(tile, s, r, first);
  }
  for (int32_t r = 0; r < rows; ++r) {
    const F total = set1(s.total[r]);
    float* out = tile.out + row_of(r);
    for_lanes(head_dim, [&](int32_t j, int lanes) {
      store_lanes(out + j, div(load(s.sums + r * s.width + j), total), lanes);
    });
  }
}
