#include "tests/engine/kernels/cuda/attention/attention_case.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <span>

#include "engine/kernels/cuda/prim/types.h"
#include "engine/kernels/cuda/simt/emulator.h"
#include "engine/kernels/kv_rows.h"
#include "engine/kernels/reference/reference.h"

namespace swarm::test {

using namespace engine::kernels;

namespace {

size_t at(int32_t i) { return static_cast<size_t>(i); }

// Elements of one vector, uniform in [-1, 1).
void fill(std::span<float> to, uint64_t seed, int32_t sequence, int32_t position, int32_t head) {
  Rng rng(mix_seed(mix_seed(seed, static_cast<uint64_t>(sequence)),
                   static_cast<uint64_t>(position) << 16 | static_cast<uint64_t>(head)));
  for (float& value : to) value = static_cast<float>(rng.uniform() * 2 - 1);
}

}  // namespace

AttentionCase::AttentionCase(const AttentionShape& s, const std::vector<SpanSpec>& specs,
                             uint64_t seed)
    : shape(s),
      batch(specs, s.page_tokens, seed),
      kv(s.k_type, s.v_type, s.page_tokens, s.kv_heads, s.head_dim, batch.page_count),
      q(at(batch.rows()) * at(s.heads) * at(s.head_dim)) {
  const KvLayer layer = kv.layer();
  std::vector<float> x(at(s.head_dim));
  for (int32_t i = 0; i < static_cast<int32_t>(specs.size()); ++i) {
    const SpanSpec& spec = specs[at(i)];
    for (int32_t p = 0; p < spec.position + spec.count; ++p)
      for (int32_t h = 0; h < s.kv_heads; ++h) {
        const int32_t page = batch.page(i, p), slot = p % s.page_tokens;
        fill(x, seed + 100, i, p, h);
        store_kv_row(s.k_type, x, layer.k, layer.k_place(page, h, slot));
        fill(x, seed + 200, i, p, h);
        store_kv_row(s.v_type, x, layer.v, layer.v_place(page, h, slot));
      }
  }
  for (int32_t r = 0; r < batch.rows(); ++r)
    for (int32_t h = 0; h < s.heads; ++h)
      fill(std::span(q).subspan(at(r * s.heads + h) * at(s.head_dim), at(s.head_dim)), seed + 300,
           batch.row_span[at(r)], batch.positions[at(r)], h);
}

float AttentionCase::scale() const {
  return static_cast<float>(1 / std::sqrt(double{1} * shape.head_dim));
}

cuda::PagedAttentionArgs AttentionCase::args(std::vector<float>& out,
                                             std::vector<uint8_t>& scratch) {
  cuda::PagedAttentionArgs args;
  args.q = q.data();
  args.out = out.data();
  args.heads = shape.heads;
  args.scale = scale();
  args.batch = batch.view();
  args.kv = kv.view();
  args.max_context = batch.max_context;
  for (const auto& span : batch.spans) args.longest_span = std::max(args.longest_span, span.count);
  args.scratch = scratch.data();
  args.scratch_bytes = static_cast<int64_t>(scratch.size());
  return args;
}

std::vector<float> AttentionCase::run(simt::Stream stream, bool deterministic) {
  std::vector<float> out = poisoned(q.size());
  std::vector<uint8_t> scratch(static_cast<size_t>(
      cuda::attention_scratch_bytes({.rows = batch.rows(),
                                     .heads = shape.heads,
                                     .head_dim = shape.head_dim,
                                     .context = batch.max_context})));
  simt::poison(scratch.data(), scratch.size(), 0);
  cuda::PagedAttentionArgs call = args(out, scratch);
  call.deterministic = deterministic;
  CHECK(cuda::attention(stream, call).ok());
  return out;
}

std::vector<float> AttentionCase::want() {
  std::vector<BatchSpan> spans;
  for (const cuda::SpanView& span : batch.spans)
    spans.push_back({.first_row = span.first_row,
                     .count = span.count,
                     .position = span.position,
                     .pages = std::span(batch.pages).subspan(at(span.first_page))});
  const auto reference = make_reference_kernels();
  reference->begin({.tokens = {}, .positions = batch.positions, .spans = spans, .wanted = {}});
  std::vector<float> out(q.size());
  reference->attention({.q = q.data(),
                        .out = out.data(),
                        .heads = shape.heads,
                        .scale = scale(),
                        .kv = kv.layer()});
  return out;
}

AttentionCase AttentionCase::rounded() {
  AttentionCase twin = *this;
  twin.shape.k_type = twin.shape.v_type = KvType::f16;
  twin.kv = PagedKv(KvType::f16, KvType::f16, shape.page_tokens, shape.kv_heads, shape.head_dim,
                    batch.page_count);
  const KvLayer from = kv.layer(), to = twin.kv.layer();
  std::vector<float> x(at(shape.head_dim));
  for (int32_t page = 0; page < batch.page_count; ++page)
    for (int32_t h = 0; h < shape.kv_heads; ++h)
      for (int32_t slot = 0; slot < shape.page_tokens; ++slot) {
        load_kv_row(from.k_type, from.k, from.k_place(page, h, slot), x);
        store_kv_row(KvType::f16, x, to.k, to.k_place(page, h, slot));
        load_kv_row(from.v_type, from.v, from.v_place(page, h, slot), x);
        store_kv_row(KvType::f16, x, to.v, to.v_place(page, h, slot));
      }
  const float factor = scale() * 1.44269504088896340736f;
  for (float& value : twin.q) value = prim::to_float(prim::to_f16(value * factor)) / factor;
  return twin;
}

std::vector<float> AttentionCase::row(const std::vector<float>& out, int32_t index) const {
  const size_t width = at(shape.heads * shape.head_dim);
  const auto from = out.begin() + static_cast<int64_t>(at(index) * width);
  return {from, from + static_cast<int64_t>(width)};
}

}  // namespace swarm::test
