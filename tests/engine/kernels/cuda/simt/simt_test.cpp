// Correct kernels through the emulator: results, orders, launch shapes, reuse after a failure.
#include <doctest/doctest.h>

#include <cmath>
#include <functional>
#include <stdexcept>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/rng.h"
#include "engine/kernels/cuda/simt/emulator.h"
#include "tests/engine/kernels/cuda/simt/faults.h"
#include "tests/engine/kernels/cuda/simt/rms_norm.h"
#include "tests/support/support.h"

using namespace swarm;

namespace {

struct Rows {
  std::vector<prim::bf16> x;
  std::vector<float> weight;
  std::vector<float> want;             // before the last rounding
};

Rows random_rows(int64_t tokens, int32_t hidden, float eps) {
  Rng rng(static_cast<uint64_t>(hidden));
  Rows rows;
  for (int64_t i = 0; i < tokens * hidden; ++i)
    rows.x.push_back(prim::to_bf16(static_cast<float>(rng.uniform() * 2 - 1)));
  for (int32_t i = 0; i < hidden; ++i)
    rows.weight.push_back(static_cast<float>(rng.uniform() + 0.5));
  for (int64_t t = 0; t < tokens; ++t) {
    double sum = 0;
    for (int32_t i = 0; i < hidden; ++i)
      sum += std::pow(prim::to_float(rows.x[static_cast<size_t>(t * hidden + i)]), 2.0);
    const double scale = 1 / std::sqrt(sum / hidden + eps);
    for (int32_t i = 0; i < hidden; ++i)
      rows.want.push_back(static_cast<float>(
          prim::to_float(rows.x[static_cast<size_t>(t * hidden + i)]) * scale *
          rows.weight[static_cast<size_t>(i)]));
  }
  return rows;
}

std::vector<prim::bf16> poisoned(size_t count) {
  std::vector<prim::bf16> values(count);
  simt::poison(values.data(), count * sizeof(prim::bf16), 0);
  return values;
}

}  // namespace

TEST_CASE("simt: the example kernel matches f64 in every order, with identical bits") {
  constexpr float kEps = 1e-6f;
  for (const int32_t hidden : {1, 31, 96, 128, 1000}) {
    CAPTURE(hidden);
    constexpr int64_t kTokens = 5;
    const Rows rows = random_rows(kTokens, hidden, kEps);
    std::vector<std::vector<prim::bf16>> results;
    simt::for_all_orders([&](simt::Stream stream, const std::string& order) {
      CAPTURE(order);
      std::vector<prim::bf16> y = poisoned(rows.x.size());
      const test::RmsNormArgs args{.x = rows.x.data(), .weight = rows.weight.data(),
                                   .y = y.data(), .row_stride = hidden, .tokens = kTokens,
                                   .hidden = hidden, .eps = kEps};
      CHECK(test::rms_norm(stream, args, 96).ok());
      std::vector<float> got;
      for (const prim::bf16 value : y) got.push_back(prim::to_float(value));
      // One rounding to bf16 (2^-8) and f32 sums of at most 1000 terms.
      const auto mismatch = test::compare(got, rows.want, {.abs = 0, .rel = 0x1p-8 + 1e-5});
      CHECK_MESSAGE(!mismatch, *mismatch);
      results.push_back(std::move(y));
    });
    for (const auto& result : results)
      for (size_t i = 0; i < result.size(); ++i) CHECK(result[i].bits == results[0][i].bits);
  }
}

TEST_CASE("simt: a barrier lets all threads of all blocks through, once per round") {
  simt::for_all_orders([&](simt::Stream stream, const std::string& order) {
    CAPTURE(order);
    std::vector<int32_t> counts(9, -1);
    CHECK(test::count_barriers(stream, counts.data(), 9, 64, 20).ok());
    for (const int32_t count : counts) CHECK(count == 64);
  });
}

TEST_CASE("simt: threads that have left do not hold up a barrier") {
  simt::for_all_orders([&](simt::Stream stream, const std::string& order) {
    CAPTURE(order);
    std::vector<float> out(64, -1.0f);
    CHECK(test::leave_early(stream, out.data(), 64, 40).ok());
    for (int i = 0; i < 64; ++i)
      CHECK(out[static_cast<size_t>(i)] == (i < 40 ? static_cast<float>(39 - i) : -1.0f));
  });
}

TEST_CASE("simt: every block of a three-dimensional grid runs once") {
  simt::for_all_orders([&](simt::Stream stream, const std::string& order) {
    CAPTURE(order);
    std::vector<int64_t> out(3 * 4 * 5, -1);
    CHECK(test::block_numbers(stream, out.data(), {.x = 3, .y = 4, .z = 5}).ok());
    for (size_t i = 0; i < out.size(); ++i) CHECK(out[i] == static_cast<int64_t>(i));
  });
}

TEST_CASE("simt: the largest block fits, and the count of switches is bounded") {
  simt::Emulator emulator({.threads = 1});
  std::vector<int32_t> counts(1, -1);
  const auto rows = std::vector<prim::bf16>(1024, prim::to_bf16(1.0f));
  const std::vector<float> weight(1024, 1.0f);
  std::vector<prim::bf16> y(1024);
  const test::RmsNormArgs args{.x = rows.data(), .weight = weight.data(), .y = y.data(),
                               .row_stride = 1024, .tokens = 1, .hidden = 1024, .eps = 0};
  CHECK(test::rms_norm(emulator.stream(), args, 1024).ok());
  for (const prim::bf16 value : y) CHECK(prim::to_float(value) == 1.0f);
  // Per thread: the start, two warp sums, two barriers.
  CHECK(emulator.switches() == 1024 * 5);
}

TEST_CASE("simt: shared memory is as large as a card allows") {
  simt::for_all_orders([](simt::Stream stream, const std::string& order) {
    CAPTURE(order);
    std::vector<float> out(2);
    CHECK(test::large_shared(stream, &out[0], true).ok());
    CHECK(test::large_shared(stream, &out[1], false).ok());
    CHECK(out[0] == 50 * 1024 / 4);
    CHECK(out[1] == simt::kSharedBytesMax / 4);
  });
}

TEST_CASE("simt: a stream can keep launches and run them later, as often as it likes") {
  simt::Emulator emulator;
  std::vector<std::function<void()>> kept;
  simt::EmulatedStream stream{emulator, [&](std::function<void()> work) {
                                kept.push_back(std::move(work));
                              }};
  std::vector<int64_t> out(2, -1);
  CHECK(test::block_numbers(stream.handle(), out.data(), {.x = 2}).ok());
  CHECK(out[1] == -1);
  REQUIRE(kept.size() == 1);
  for (int round = 0; round < 2; ++round) {
    out[1] = -1;
    kept[0]();
    CHECK(out[1] == 1);
  }
}

TEST_CASE("simt: poison is NaN in every storage type, and integers see two patterns") {
  for (const int variant : {0, 1}) {
    float f = 0;
    simt::poison(&f, sizeof f, variant);
    CHECK(std::isnan(f));
    double d = 0;
    simt::poison(&d, sizeof d, variant);
    CHECK(std::isnan(d));
    uint16_t h = 0;
    simt::poison(&h, sizeof h, variant);
    CHECK(std::isnan(prim::to_float(prim::f16{h})));
    CHECK(std::isnan(prim::to_float(prim::bf16{h})));
    for (const int shift : {0, 8}) {
      const auto byte = static_cast<uint8_t>(h >> shift);
      CHECK(std::isnan(prim::to_float(prim::e4m3{byte})));
      CHECK(std::isnan(prim::to_float(prim::e5m2{byte})));
    }
  }
  int32_t a = 0, b = 0;
  simt::poison(&a, sizeof a, 0);
  simt::poison(&b, sizeof b, 1);
  CHECK(a != b);
}
