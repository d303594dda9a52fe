// tests/engine/kernels/cuda/attention/paged_case.h — Batches over paged K and V for kernel tests:
// host vectors of exactly the size that a kernel may touch, so that AddressSanitizer finds the
// first element beyond.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/base/rng.h"
#include "engine/kernels/cuda/batch.h"
#include "engine/kernels/kv_layer.h"

namespace swarm::test {

struct SpanSpec {
  int32_t position = 0;                // of the first row
  int32_t count = 0;
};

// Spans one behind the other; the pages of a sequence are scattered over the pool.
struct PagedBatch {
  PagedBatch(const std::vector<SpanSpec>& specs, int32_t page_tokens, uint64_t seed);

  engine::kernels::cuda::BatchView view() const;
  int32_t page(int32_t span, int32_t position) const;
  int32_t rows() const { return static_cast<int32_t>(positions.size()); }

  std::vector<int32_t> positions;
  std::vector<int32_t> row_span;
  std::vector<engine::kernels::cuda::SpanView> spans;
  std::vector<int32_t> pages;
  int32_t page_tokens = 0;
  int32_t page_count = 0;
  int32_t max_context = 0;
};

// K and V of one layer for page_count pages, poisoned.
struct PagedKv {
  PagedKv(engine::kernels::KvType k_type, engine::kernels::KvType v_type, int32_t page_tokens,
          int32_t kv_heads, int32_t head_dim, int32_t page_count);

  engine::kernels::cuda::KvView view();
  engine::kernels::KvLayer layer();

  std::vector<uint8_t> k, v;
  engine::kernels::KvLayer shape;      // without pointers
};

// Uniform in [-size, size).
std::vector<float> random_floats(size_t count, float size, uint64_t seed);
// NaN everywhere.
std::vector<float> poisoned(size_t count);

const char* kv_name(engine::kernels::KvType type);

}  // namespace swarm::test
