// Every other op of kernels.h in every instruction set against the scalar backend, over shapes that
// are no multiple of any vector: odd head sizes, one and many query heads per KV head, pages of 1,
// 3, 16. Bounds: f32 rounding of sums of up to a few hundred terms of size about 1, exp to 2 ulp:
// 1e-5.
#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "engine/kernels/kernels.h"
#include "tests/engine/kernels/matrices.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::engine::kernels;

namespace {

constexpr test::Bound kBound{.abs = 1e-5, .rel = 1e-5};

std::unique_ptr<Kernels> kernels_of(std::string_view isa, int32_t threads = 2) {
  auto opened = open_kernels(isa, threads);
  SWARM_CHECK(opened.has_value());
  return std::move(*opened);
}

// Two sequences: one of `position` tokens in the cache and `count` new ones, one that begins.
struct AttentionCase {
  int32_t heads, kv_heads, head_dim, page_tokens;
  KvType k_type, v_type;
};

struct AttentionRun {
  std::vector<float> q, k, v, out;
  std::vector<std::byte> k_pages, v_pages;
};

// Appends with one backend and reads what it stored with another.
AttentionRun run_attention(Kernels& writer, Kernels& reader, const AttentionCase& c) {
  const int32_t before = 21, count = 18, tokens = before + count + 5;
  Rng rng(static_cast<uint64_t>(c.head_dim * 64 + c.heads));
  const auto rows = [&](int32_t heads) {
    return test::random_rows(rng, size_t(tokens) * size_t(heads) * size_t(c.head_dim));
  };
  AttentionRun run;
  run.q = rows(c.heads);
  std::vector<float>&k = run.k, &v = run.v;
  k = rows(c.kv_heads);
  v = rows(c.kv_heads);
  const auto norm = test::random_rows(rng, size_t(c.head_dim));
  const auto cos = test::random_rows(rng, size_t(tokens) * size_t(c.head_dim / 2));
  const auto sin = test::random_rows(rng, size_t(tokens) * size_t(c.head_dim / 2));
  const int32_t pages = 60 / c.page_tokens + 4;
  const size_t rows_stored = size_t(2 * pages * c.page_tokens * c.kv_heads);
  run.k_pages.resize(rows_stored * kv_row_bytes(c.k_type, c.head_dim));
  run.v_pages.resize(rows_stored * kv_row_bytes(c.v_type, c.head_dim));
  run.out.assign(run.q.size(), NAN);
  std::vector<int32_t> first, second;
  for (int32_t i = 0; i < pages; ++i) {
    first.push_back(2 * i + 1);
    second.push_back(2 * (pages - 1 - i));
  }
  const KvLayer kv{.k_type = c.k_type, .v_type = c.v_type, .page_tokens = c.page_tokens,
                   .kv_heads = c.kv_heads, .head_dim = c.head_dim, .k = run.k_pages.data(),
                   .v = run.v_pages.data()};
  const BatchSpan history[] = {{0, before, 0, first}};
  const BatchSpan now[] = {{before, count, before, first}, {before + count, 5, 0, second}};
  const QkvArgs append{.q = run.q.data(), .k = k.data(), .v = v.data(), .q_norm = norm.data(),
                       .k_norm = norm.data(), .cos = cos.data(), .sin = sin.data(), .eps = 1e-6f,
                       .heads = c.heads, .kv = kv};
  const std::vector<int32_t> ids(size_t(tokens), 0);       // only their number matters here
  const auto begin = [&](std::span<const BatchSpan> spans, int32_t count_of_rows) {
    reader.begin({.tokens = std::span(ids).first(size_t(count_of_rows)), .positions = {},
                  .spans = spans, .wanted = {}});
    if (&writer != &reader)
      writer.begin({.tokens = std::span(ids).first(size_t(count_of_rows)), .positions = {},
                    .spans = spans, .wanted = {}});
  };
  begin(history, before);
  writer.qk_norm_rope_append(append);
  // Rows of `now` count from the start of the batch, as the transformer would pass them.
  const auto shift = [&](std::vector<float>& values, int32_t heads) {
    return values.data() + size_t(before) * size_t(heads) * size_t(c.head_dim);
  };
  BatchSpan moved[] = {now[0], now[1]};
  moved[0].first_row = 0;
  moved[1].first_row = count;
  QkvArgs next = append;
  next.q = shift(run.q, c.heads);
  next.k = shift(k, c.kv_heads);
  next.v = shift(v, c.kv_heads);
  next.cos = cos.data() + size_t(before) * size_t(c.head_dim / 2);
  next.sin = sin.data() + size_t(before) * size_t(c.head_dim / 2);
  begin(moved, count + 5);
  writer.qk_norm_rope_append(next);
  reader.attention({.q = next.q, .out = shift(run.out, c.heads), .heads = c.heads,
                     .scale = 1.0f / std::sqrt(float(c.head_dim)), .kv = kv});
  run.q.erase(run.q.begin(), run.q.begin() + before * c.heads * c.head_dim);
  run.out.erase(run.out.begin(), run.out.begin() + before * c.heads * c.head_dim);
  return run;
}

}  // namespace

TEST_CASE("kernels: norm, rope, append and attention equal the scalar backend") {
  const auto reference = kernels_of("reference");
  constexpr std::pair<KvType, KvType> kTypes[] = {
      {KvType::f32, KvType::f32},   {KvType::f16, KvType::f32},   {KvType::f32, KvType::f16},
      {KvType::bf16, KvType::bf16}, {KvType::f16, KvType::q8_0},  {KvType::q8_0, KvType::q8_0},
      {KvType::q8_0, KvType::q4_0}, {KvType::q4_0, KvType::bf16}, {KvType::q4_0, KvType::q4_0}};
  for (const std::string_view isa : available_isas()) {
    const auto kernels = kernels_of(isa);
    for (const auto& [heads, kv_heads] : {std::pair{1, 1}, {4, 2}, {6, 2}, {9, 1}, {40, 1}}) {
      for (const int32_t head_dim : {2, 6, 16, 32, 40, 64, 96, 128, 136}) {
        for (const int32_t page_tokens : {1, 3, 16}) {
          for (const auto& [k, v] : kTypes) {
            if ((kv_quantised(k) || kv_quantised(v)) && head_dim % kKvGroup != 0) continue;
            // Layouts and types meet in f32 and f16; the others need the ways to read a row only.
            const bool first_types = k <= KvType::f16 && v <= KvType::f16;
            const bool some_layout = page_tokens == 3 && (heads == 4 || heads == 9);
            if (first_types ? head_dim == 32 || head_dim == 96 : !some_layout) continue;
            const AttentionCase c{heads, kv_heads, head_dim, page_tokens, k, v};
            CAPTURE(isa);
            CAPTURE(heads);
            CAPTURE(head_dim);
            CAPTURE(page_tokens);
            CAPTURE(kv_type_name(k));
            CAPTURE(kv_type_name(v));
            const AttentionRun got = run_attention(*kernels, *kernels, c);
            // What is stored may differ by a code where the f32 values differ by an ulp, so the
            // scalar backend reads the very pages that were written.
            const AttentionRun want = run_attention(*kernels, *reference, c);
            REQUIRE(want.k_pages == got.k_pages);
            if (const auto bad = test::compare(got.out, want.out, kBound)) FAIL(*bad);
            const AttentionRun scalar = run_attention(*reference, *reference, c);
            if (const auto bad = test::compare(got.q, scalar.q, kBound)) FAIL(*bad);
            if (const auto bad = test::compare(got.k, scalar.k, kBound)) FAIL(*bad);
          }
        }
      }
    }
  }
}

TEST_CASE("kernels: routing picks the same experts, ties to the lower id, weights sum to one") {
  Rng rng(5);
  const int32_t tokens = 50;
  for (const auto& [experts, used] : {std::pair{1, 1}, {3, 2}, {10, 3}, {16, 16}, {128, 8}}) {
    auto logits = test::random_rows(rng, size_t(tokens * experts));
    for (int32_t e = 0; e < experts; ++e) logits[size_t(e)] = 0.5f;    // token 0: all tie
    std::vector<int32_t> want_ids(size_t(tokens * used)), ids(want_ids.size());
    std::vector<float> want(want_ids.size()), weights(want_ids.size());
    kernels_of("reference")->route({.logits = logits.data(), .tokens = tokens, .experts = experts,
                                    .used = used, .ids = want_ids.data(), .weights = want.data()});
    for (int32_t s = 0; s < used; ++s) CHECK(want_ids[size_t(s)] == s);
    for (const std::string_view isa : available_isas()) {
      kernels_of(isa)->route({.logits = logits.data(), .tokens = tokens, .experts = experts,
                              .used = used, .ids = ids.data(), .weights = weights.data()});
      CAPTURE(isa);
      CAPTURE(experts);
      CHECK(ids == want_ids);
      const auto bad = test::compare(weights, want, kBound);
      if (bad) FAIL(*bad);
      float sum = 0;
      for (int32_t s = 0; s < used; ++s) sum += weights[size_t(s)];
      CHECK(std::abs(sum - 1) < 1e-6);
    }
  }
}

TEST_CASE("kernels: dense and expert feed-forward equal the scalar backend") {
  const auto* f32 = engine::formats::find_block_type(engine::formats::TensorType::f32);
  Rng rng(6);
  const int32_t hidden = 44, ffn = 27, experts = 5, used = 2, tokens = 33;
  const auto gate = test::random_matrix(rng, *f32, ffn * experts, hidden);
  const auto up = test::random_matrix(rng, *f32, ffn * experts, hidden);
  const auto down = test::random_matrix(rng, *f32, hidden * experts, ffn);
  const auto x = test::random_rows(rng, size_t(tokens * hidden));
  const auto start = test::random_rows(rng, size_t(tokens * hidden));
  const auto stacked = [](const test::Matrix& m, int32_t rows) {
    ExpertWeights e{.first = m.weight, .count = experts, .stride = 0};
    e.first.rows = rows;
    e.stride = e.first.bytes();
    return e;
  };
  std::vector<int32_t> ids;
  std::vector<float> weights;
  for (int32_t t = 0; t < tokens; ++t) {       // expert 4 is never chosen
    ids.insert(ids.end(), {t % 4, (t + 1 + t % 3) % 4});
    weights.insert(weights.end(), {0.75f, 0.25f});
  }
  const auto run = [&](Kernels& kernels, bool dense) {
    std::vector<float> y = start;
    const auto g = stacked(gate, ffn), u = stacked(up, ffn), d = stacked(down, hidden);
    if (dense) {
      kernels.ffn({.x = x.data(), .tokens = tokens, .gate = g.first, .up = u.first,
                   .down = d.first, .residual = y.data()});
    } else {
      kernels.expert_ffn({.x = x.data(), .tokens = tokens, .used = used, .ids = ids.data(),
                          .weights = weights.data(), .gate = g, .up = u, .down = d,
                          .residual = y.data()});
    }
    return y;
  };
  const auto reference = kernels_of("reference");
  for (const std::string_view isa : available_isas()) {
    for (const bool dense : {true, false}) {
      CAPTURE(isa);
      CAPTURE(dense);
      // Sums of 44 and 27 products, the second of values up to about 20: 1e-4 is 2^-24 x 27 x 40.
      const auto bad = test::compare(run(*kernels_of(isa), dense), run(*reference, dense),
                                     {.abs = 1e-4});
      if (bad) FAIL(*bad);
    }
  }
}

TEST_CASE("kernels: norms equal the scalar backend for large and tiny values") {
  for (const float size : {1e-30f, 1e-3f, 1.0f, 50.0f, 1e4f}) {
    Rng rng(8);
    const int32_t rows = 9, width = 37;
    auto x = test::random_rows(rng, size_t(rows * width));
    for (float& v : x) v *= size;
    const auto weight = test::random_rows(rng, size_t(width));
    std::vector<float> want(x.size()), got(x.size());
    kernels_of("reference")->rms_norm(x.data(), weight.data(), 1e-6f, rows, width, want.data());
    for (const std::string_view isa : available_isas()) {
      kernels_of(isa)->rms_norm(x.data(), weight.data(), 1e-6f, rows, width, got.data());
      CAPTURE(isa);
      CAPTURE(size);
      const auto bad = test::compare(got, want, {.abs = 1e-30, .rel = 1e-5});
      if (bad) FAIL(*bad);
    }
  }
}
