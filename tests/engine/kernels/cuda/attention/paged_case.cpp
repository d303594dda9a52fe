#include "tests/engine/kernels/cuda/attention/paged_case.h"

#include <algorithm>

#include "engine/kernels/cuda/simt/emulator.h"

namespace swarm::test {

using namespace engine::kernels;

PagedBatch::PagedBatch(const std::vector<SpanSpec>& specs, int32_t tokens_per_page, uint64_t seed)
    : page_tokens(tokens_per_page) {
  for (const SpanSpec& spec : specs) {
    const int32_t context = spec.position + spec.count;
    for (int32_t i = 0; i < spec.count; ++i) {
      positions.push_back(spec.position + i);
      row_span.push_back(static_cast<int32_t>(spans.size()));
    }
    spans.push_back({.first_row = rows() - spec.count,
                     .count = spec.count,
                     .position = spec.position,
                     .first_page = page_count});
    page_count += (context + page_tokens - 1) / page_tokens;
    max_context = std::max(max_context, context);
  }
  Rng rng(seed);
  for (int32_t i = 0; i < page_count; ++i) pages.push_back(i);
  for (size_t i = pages.size(); i > 1; --i) std::swap(pages[i - 1], pages[rng.below(i)]);
}

cuda::BatchView PagedBatch::view() const {
  cuda::BatchView view;
  view.positions = positions.data();
  view.row_span = row_span.data();
  view.spans = spans.data();
  view.pages = pages.data();
  view.rows = rows();
  view.span_count = static_cast<int32_t>(spans.size());
  return view;
}

int32_t PagedBatch::page(int32_t span, int32_t position) const {
  const int32_t first = spans[static_cast<size_t>(span)].first_page;
  return pages[static_cast<size_t>(first + position / page_tokens)];
}

PagedKv::PagedKv(KvType k_type, KvType v_type, int32_t page_tokens, int32_t kv_heads,
                 int32_t head_dim, int32_t page_count)
    : shape{.k_type = k_type,
            .v_type = v_type,
            .page_tokens = page_tokens,
            .kv_heads = kv_heads,
            .head_dim = head_dim} {
  const auto slots = static_cast<size_t>(page_count) * static_cast<size_t>(kv_heads) *
                     static_cast<size_t>(page_tokens);
  k.resize(slots * kv_row_bytes(k_type, head_dim));
  v.resize(slots * kv_row_bytes(v_type, head_dim));
  simt::poison(k.data(), k.size(), 0);
  simt::poison(v.data(), v.size(), 0);
}

cuda::KvView PagedKv::view() {
  return {.k_type = shape.k_type,
          .v_type = shape.v_type,
          .page_tokens = shape.page_tokens,
          .kv_heads = shape.kv_heads,
          .head_dim = shape.head_dim,
          .k = k.data(),
          .v = v.data()};
}

KvLayer PagedKv::layer() {
  KvLayer layer = shape;
  layer.k = reinterpret_cast<std::byte*>(k.data());
  layer.v = reinterpret_cast<std::byte*>(v.data());
  return layer;
}

std::vector<float> random_floats(size_t count, float size, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> values(count);
  for (float& value : values) value = static_cast<float>(rng.uniform() * 2 - 1) * size;
  return values;
}

std::vector<float> poisoned(size_t count) {
  std::vector<float> values(count);
  simt::poison(values.data(), count * sizeof(float), 0);
  return values;
}

const char* kv_name(KvType type) { return kv_type_name(type).data(); }

}  // namespace swarm::test
