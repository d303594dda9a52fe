// qk_norm_rope_append against formulas in double, and against kv_rows.h in every stored bit.
#include "engine/kernels/cuda/attention/rope_append.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <span>

#include "engine/kernels/cuda/simt/emulator.h"
#include "engine/kernels/kv_rows.h"
#include "engine/kernels/reference/reference.h"
#include "tests/engine/kernels/cuda/attention/paged_case.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::engine::kernels;

namespace {

constexpr KvType kTypes[] = {KvType::f32, KvType::f16, KvType::bf16, KvType::q8_0, KvType::q4_0};
constexpr float kEps = 1e-6f;

struct Heads {
  int32_t heads = 0;
  int32_t kv_heads = 0;
  int32_t head_dim = 0;
};

struct Inputs {
  Inputs(const Heads& shape, const test::PagedBatch& batch);
  std::vector<float> q, k, v, q_norm, k_norm, cos, sin;
};

Inputs::Inputs(const Heads& shape, const test::PagedBatch& batch) {
  const auto rows = static_cast<size_t>(batch.rows());
  const auto width = static_cast<size_t>(shape.head_dim);
  q = test::random_floats(rows * static_cast<size_t>(shape.heads) * width, 3.0f, 1);
  k = test::random_floats(rows * static_cast<size_t>(shape.kv_heads) * width, 2.0f, 2);
  v = test::random_floats(k.size(), 1.5f, 3);
  q_norm = test::random_floats(width, 1.5f, 4);
  k_norm = test::random_floats(width, 1.5f, 5);
  for (const int32_t position : batch.positions)
    for (size_t j = 0; j < width / 2; ++j) {
      const double angle = position * std::pow(1e4, -2.0 * static_cast<double>(j) / shape.head_dim);
      cos.push_back(static_cast<float>(std::cos(angle) * 1.1));    // a YaRN factor
      sin.push_back(static_cast<float>(std::sin(angle) * 1.1));
    }
}

// The formula in double, one head.
std::vector<float> want_head(const float* x, const std::vector<float>& norm, const float* cos,
                             const float* sin) {
  const size_t width = norm.size(), half = width / 2;
  double sum = 0;
  for (size_t j = 0; j < width; ++j) sum += double{x[j]} * x[j];
  const double factor = 1 / std::sqrt(sum / static_cast<double>(width) + double{kEps});
  std::vector<float> out(width);
  for (size_t j = 0; j < half; ++j) {
    const double a = x[j] * factor * norm[j], b = x[j + half] * factor * norm[j + half];
    out[j] = static_cast<float>(a * cos[j] - b * sin[j]);
    out[j + half] = static_cast<float>(a * sin[j] + b * cos[j]);
  }
  return out;
}

std::vector<float> want_heads(const std::vector<float>& x, const std::vector<float>& norm,
                              int32_t heads, const Inputs& in) {
  const size_t width = norm.size();
  std::vector<float> out;
  for (size_t i = 0; i < x.size() / width; ++i) {
    const size_t row = i / static_cast<size_t>(heads);
    const auto head = want_head(&x[i * width], norm, &in.cos[row * width / 2],
                                &in.sin[row * width / 2]);
    out.insert(out.end(), head.begin(), head.end());
  }
  return out;
}

void run(simt::Stream stream, const Heads& shape, const test::PagedBatch& batch, const Inputs& in,
         std::vector<float>& q, test::PagedKv& kv) {
  cuda::RopeAppendArgs args;
  args.q = q.data();
  args.k = in.k.data();
  args.v = in.v.data();
  args.q_norm = in.q_norm.data();
  args.k_norm = in.k_norm.data();
  args.cos = in.cos.data();
  args.sin = in.sin.data();
  args.eps = kEps;
  args.heads = shape.heads;
  args.batch = batch.view();
  args.kv = kv.view();
  CHECK(cuda::qk_norm_rope_append(stream, args).ok());
}

// What the pages must hold: everything else stays poisoned.
void store_want(const Heads& shape, const test::PagedBatch& batch, const std::vector<float>& k,
                const std::vector<float>& v, test::PagedKv& want) {
  const KvLayer layer = want.layer();
  const auto width = static_cast<size_t>(shape.head_dim);
  for (int32_t row = 0; row < batch.rows(); ++row)
    for (int32_t h = 0; h < shape.kv_heads; ++h) {
      const auto at = static_cast<size_t>(row * shape.kv_heads + h) * width;
      const int32_t position = batch.positions[static_cast<size_t>(row)];
      const int32_t page = batch.page(batch.row_span[static_cast<size_t>(row)], position);
      const int32_t slot = position % batch.page_tokens;
      store_kv_row(layer.k_type, {&k[at], width}, layer.k, layer.k_place(page, h, slot));
      store_kv_row(layer.v_type, {&v[at], width}, layer.v, layer.v_place(page, h, slot));
    }
}

// Rounding errors, relative to the largest product of the sum: mean 2^-24 (log2(width) + 3), sqrt,
// divisions, two multiplications and the rotation 8 more; products are below 3 * 1.5 * 1.1 * factor
// with factor < 2 for these inputs, so 16 * 2^-24 * 10 covers it.
constexpr test::Bound kBound{.abs = 1e-5, .rel = 1e-6};

}  // namespace

TEST_CASE("rope_append: q and k are the formula's in every order, with identical bits") {
  for (const Heads shape : {Heads{1, 1, 2}, Heads{3, 1, 6}, Heads{4, 2, 32}, Heads{8, 1, 64},
                            Heads{6, 2, 128}, Heads{2, 1, 256}, Heads{5, 5, 100}}) {
    CAPTURE(shape.head_dim);
    const test::PagedBatch batch({{.position = 0, .count = 3}, {.position = 15, .count = 1},
                                  {.position = 6, .count = 3}}, 4, 9);
    const Inputs in(shape, batch);
    const auto want_q = want_heads(in.q, in.q_norm, shape.heads, in);
    const auto want_k = want_heads(in.k, in.k_norm, shape.kv_heads, in);
    std::vector<std::vector<float>> results;
    std::vector<std::vector<uint8_t>> stored;
    simt::for_each_order([&](simt::Stream stream, const std::string& order) {
      CAPTURE(order);
      test::PagedKv kv(KvType::f32, KvType::f32, 4, shape.kv_heads, shape.head_dim,
                       batch.page_count);
      std::vector<float> q = in.q;
      run(stream, shape, batch, in, q, kv);
      const auto mismatch = test::compare(q, want_q, kBound);
      CHECK_MESSAGE(!mismatch, *mismatch);
      for (int32_t row = 0; row < batch.rows(); ++row)
        for (int32_t h = 0; h < shape.kv_heads; ++h) {
          const int32_t position = batch.positions[static_cast<size_t>(row)];
          const int32_t page = batch.page(batch.row_span[static_cast<size_t>(row)], position);
          std::vector<float> got(static_cast<size_t>(shape.head_dim));
          load_kv_row(KvType::f32, kv.layer().k, kv.shape.k_place(page, h, position % 4), got);
          const std::span want(&want_k[static_cast<size_t>(row * shape.kv_heads + h) * got.size()],
                               got.size());
          const auto difference = test::compare(got, want, kBound);
          CHECK_MESSAGE(!difference, *difference);
        }
      results.push_back(q);
      stored.push_back(kv.k);
    });
    for (const auto& result : results)
      CHECK(std::memcmp(result.data(), results[0].data(), result.size() * sizeof(float)) == 0);
    for (const auto& bytes : stored) CHECK(bytes == stored[0]);
  }
}

TEST_CASE("rope_append: pages hold the bytes of the host's quantisers and nothing else changes") {
  const Heads shape{.heads = 2, .kv_heads = 2, .head_dim = 64};
  for (const int32_t page_tokens : {1, 3, 16, 256}) {
    const test::PagedBatch batch({{.position = 2, .count = 5}, {.position = 17, .count = 1}},
                                 page_tokens, 11);
    Inputs in(shape, batch);
    in.v[5] = in.v[40];                                    // ties of the largest magnitude
    in.v[7] = 1.5f, in.v[9] = -1.5f;
    in.v[64 + 3] = std::numeric_limits<float>::infinity();
    in.v[128 + 3] = std::numeric_limits<float>::quiet_NaN();
    for (size_t j = 192; j < 224; ++j) in.v[j] = 0.0f;     // a group of zeros
    for (size_t j = 256; j < 288; ++j) in.v[j] = 0.5f * static_cast<float>(j - 256);   // halves
    in.v[287] = 127.0f;

    simt::Emulator emulator;
    test::PagedKv exact(KvType::f32, KvType::f32, page_tokens, shape.kv_heads, shape.head_dim,
                        batch.page_count);
    std::vector<float> q = in.q;
    run(emulator.stream(), shape, batch, in, q, exact);
    std::vector<float> k(in.k.size());
    for (int32_t row = 0; row < batch.rows(); ++row)
      for (int32_t h = 0; h < shape.kv_heads; ++h) {
        const int32_t position = batch.positions[static_cast<size_t>(row)];
        const int32_t page = batch.page(batch.row_span[static_cast<size_t>(row)], position);
        load_kv_row(KvType::f32, exact.layer().k,
                    exact.shape.k_place(page, h, position % page_tokens),
                    std::span(k).subspan(static_cast<size_t>(row * shape.kv_heads + h) * 64, 64));
      }
    for (const KvType k_type : kTypes)
      for (const KvType v_type : kTypes) {
        CAPTURE(page_tokens);
        CAPTURE(test::kv_name(k_type));
        CAPTURE(test::kv_name(v_type));
        test::PagedKv got(k_type, v_type, page_tokens, shape.kv_heads, shape.head_dim,
                          batch.page_count);
        test::PagedKv want = got;
        q = in.q;
        run(emulator.stream(), shape, batch, in, q, got);
        store_want(shape, batch, k, in.v, want);
        if (v_type == KvType::f16 || v_type == KvType::bf16) {
          // The payload of a NaN is nobody's promise.
          const KvPlace at = got.shape.v_place(batch.page(0, 3), 0, 3 % page_tokens);
          for (size_t byte : {at.codes + 6, at.codes + 7}) got.v[byte] = want.v[byte] = 0;
        }
        CHECK(got.k == want.k);
        CHECK(got.v == want.v);
      }
  }
}

TEST_CASE("rope_append: a row's bits do not depend on its neighbours or place in the batch") {
  const Heads shape{.heads = 3, .kv_heads = 1, .head_dim = 128};
  const test::PagedBatch together({{.position = 4, .count = 6}, {.position = 0, .count = 2}}, 4, 3);
  const Inputs in(shape, together);
  simt::Emulator emulator;
  test::PagedKv kv(KvType::q8_0, KvType::q4_0, 4, 1, 128, together.page_count);
  std::vector<float> q = in.q;
  run(emulator.stream(), shape, together, in, q, kv);

  const test::PagedBatch alone({{.position = 7, .count = 1}}, 4, 4);
  Inputs one(shape, alone);
  const auto copy_row = [](const std::vector<float>& from, std::vector<float>& to) {
    std::copy_n(from.begin() + static_cast<int64_t>(3 * to.size()), to.size(), to.begin());
  };
  copy_row(in.q, one.q);
  copy_row(in.k, one.k);
  copy_row(in.v, one.v);
  test::PagedKv kv_alone(KvType::q8_0, KvType::q4_0, 4, 1, 128, alone.page_count);
  std::vector<float> q_alone = one.q;
  run(emulator.stream(), shape, alone, one, q_alone, kv_alone);
  CHECK(std::memcmp(q_alone.data(), &q[3 * q_alone.size()], q_alone.size() * sizeof(float)) == 0);
  const KvPlace a = kv.shape.k_place(together.page(0, 7), 0, 3);
  const KvPlace b = kv_alone.shape.k_place(alone.page(0, 7), 0, 3);
  CHECK(std::memcmp(&kv.k[a.codes], &kv_alone.k[b.codes], 128) == 0);
  CHECK(std::memcmp(&kv.k[a.scales], &kv_alone.k[b.scales], 8) == 0);
}

TEST_CASE("rope_append: q and the pages agree with the reference kernels") {
  const Heads shape{.heads = 4, .kv_heads = 2, .head_dim = 128};
  const test::PagedBatch batch({{.position = 5, .count = 4}, {.position = 0, .count = 2}}, 4, 3);
  const Inputs in(shape, batch);
  simt::Emulator emulator;
  test::PagedKv got(KvType::f32, KvType::f16, 4, 2, 128, batch.page_count), want = got;
  std::vector<float> q = in.q, want_q = in.q, want_k = in.k;
  run(emulator.stream(), shape, batch, in, q, got);

  std::vector<BatchSpan> spans;
  for (const cuda::SpanView& span : batch.spans)
    spans.push_back({.first_row = span.first_row,
                     .count = span.count,
                     .position = span.position,
                     .pages = std::span(batch.pages).subspan(
                         static_cast<size_t>(span.first_page))});
  const auto reference = make_reference_kernels();
  reference->begin({.tokens = {}, .positions = batch.positions, .spans = spans, .wanted = {}});
  reference->qk_norm_rope_append({.q = want_q.data(),
                                  .k = want_k.data(),
                                  .v = in.v.data(),
                                  .q_norm = in.q_norm.data(),
                                  .k_norm = in.k_norm.data(),
                                  .cos = in.cos.data(),
                                  .sin = in.sin.data(),
                                  .eps = kEps,
                                  .heads = shape.heads,
                                  .kv = want.layer()});
  CHECK(!test::compare(q, want_q, kBound));
  CHECK(got.v == want.v);
  std::vector<float> got_k(got.k.size() / 4), stored_k(got_k.size());
  std::memcpy(got_k.data(), got.k.data(), got.k.size());
  std::memcpy(stored_k.data(), want.k.data(), want.k.size());
  size_t written = 0;
  for (size_t i = 0; i < got_k.size(); ++i) {
    CHECK((got_k[i] == got_k[i]) == (stored_k[i] == stored_k[i]));   // NaN: nobody wrote it
    if (got_k[i] != got_k[i]) continue;
    ++written;
    CHECK(std::abs(got_k[i] - stored_k[i]) <= kBound.abs);
  }
  CHECK(written == in.k.size());
}

TEST_CASE("rope_append: padding rows append nothing") {
  const Heads shape{.heads = 1, .kv_heads = 1, .head_dim = 32};
  test::PagedBatch batch({{.position = 0, .count = 2}}, 2, 3);
  const Inputs in(shape, batch);
  batch.row_span[1] = -1;
  simt::Emulator emulator;
  test::PagedKv kv(KvType::f16, KvType::q8_0, 2, 1, 32, batch.page_count);
  const test::PagedKv before = kv;
  std::vector<float> q = in.q;
  run(emulator.stream(), shape, batch, in, q, kv);
  const size_t slot1 = kv.shape.k_place(batch.page(0, 1), 0, 1).codes;
  CHECK(std::memcmp(&kv.k[slot1], &before.k[slot1], 64) == 0);
  CHECK(kv.k[0] != before.k[0]);
}

TEST_CASE("rope_append: the comparison notices one wrong element") {
  const Heads shape{.heads = 2, .kv_heads = 1, .head_dim = 64};
  const test::PagedBatch batch({{.position = 3, .count = 2}}, 4, 3);
  const Inputs in(shape, batch);
  auto want = want_heads(in.q, in.q_norm, shape.heads, in);
  simt::Emulator emulator;
  test::PagedKv kv(KvType::f32, KvType::f32, 4, 1, 64, batch.page_count);
  std::vector<float> q = in.q;
  run(emulator.stream(), shape, batch, in, q, kv);
  CHECK(!test::compare(q, want, kBound));
  want[77] += 1e-4f;
  CHECK(test::compare(q, want, kBound).value().index == 77);
}
