// Norm, add, angles and gather on the emulator against the scalar backend: widths that are no
// multiple of a block, three thread orders with the same bits, outputs poisoned before each run.
// Bounds: a sum of n squares in f32 with at most n / 256 + 13 roundings per path, then three more:
// relative 2^-24 * (n / 512 + 10) < 1e-5 for the widths here.
#include "engine/kernels/cuda/elementwise.h"

#include <doctest/doctest.h>

#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "engine/base/rng.h"
#include "engine/kernels/cuda/simt/emulator.h"
#include "engine/kernels/kernels.h"
#include "tests/engine/kernels/matrices.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::engine::kernels;

namespace {

// Runs in every order over a poisoned output; the bits must agree. Returns the output.
std::vector<float> in_every_order(size_t count,
                                  const std::function<simt::Status(simt::Stream, float*)>& run) {
  std::vector<float> first;
  simt::for_each_order([&](simt::Stream stream, const std::string& order) {
    CAPTURE(order);
    std::vector<float> out(count);
    simt::poison(out.data(), count * sizeof(float), 0);
    REQUIRE(run(stream, out.data()).ok());
    if (first.empty()) first = out;
    REQUIRE(std::memcmp(first.data(), out.data(), count * sizeof(float)) == 0);
  });
  return first;
}

}  // namespace

TEST_CASE("cuda: norms equal the scalar backend for every width and size") {
  const auto reference = open_kernels("reference", 1).value();
  for (const int32_t hidden : {1, 31, 256, 300, 2048}) {
    for (const float size : {1e-3f, 1.0f, 1e4f}) {
      const int32_t rows = 5;
      Rng rng(static_cast<uint64_t>(hidden));
      auto x = test::random_rows(rng, size_t(rows * hidden));
      for (float& v : x) v *= size;
      const auto weight = test::random_rows(rng, size_t(hidden));
      std::vector<float> want(x.size());
      reference->rms_norm(x.data(), weight.data(), 1e-6f, rows, hidden, want.data());
      const auto got = in_every_order(x.size(), [&](simt::Stream stream, float* out) {
        return cuda::rms_norm(stream, {.x = x.data(), .weight = weight.data(), .out = out,
                                       .rows = rows, .hidden = hidden, .eps = 1e-6f});
      });
      CAPTURE(hidden);
      CAPTURE(size);
      if (const auto bad = test::compare(got, want, {.abs = 1e-30, .rel = 1e-5})) FAIL(*bad);
    }
  }
}

TEST_CASE("cuda: a residual that is added to on the way has the bits of add and norm") {
  for (const int32_t hidden : {1, 31, 256, 300, 2048}) {
    CAPTURE(hidden);
    const int32_t rows = 3;
    const auto count = size_t(rows * hidden);
    Rng rng(static_cast<uint64_t>(hidden) + 1);
    const auto start = test::random_rows(rng, count), delta = test::random_rows(rng, count);
    const auto weight = test::random_rows(rng, size_t(hidden));
    std::vector<float> sum(count);
    for (size_t i = 0; i < count; ++i) sum[i] = start[i] + delta[i];
    const auto want = in_every_order(count, [&](simt::Stream stream, float* out) {
      return cuda::rms_norm(stream, {.x = sum.data(), .weight = weight.data(), .out = out,
                                     .rows = rows, .hidden = hidden, .eps = 1e-6f});
    });
    std::vector<float> residual;
    const auto got = in_every_order(count, [&](simt::Stream stream, float* out) {
      residual = start;
      return cuda::rms_norm(stream, {.x = residual.data(), .weight = weight.data(), .out = out,
                                     .rows = rows, .hidden = hidden, .eps = 1e-6f,
                                     .residual = residual.data(), .delta = delta.data()});
    });
    CHECK(residual == sum);
    CHECK(got == want);
  }
}

TEST_CASE("cuda: the norm's bound notices one wrong element") {
  Rng rng(1);
  const auto x = test::random_rows(rng, 300);
  const std::vector<float> weight(300, 1.0f);
  auto got = in_every_order(300, [&](simt::Stream stream, float* out) {
    return cuda::rms_norm(stream, {.x = x.data(), .weight = weight.data(), .out = out, .rows = 1,
                                   .hidden = 300, .eps = 1e-6f});
  });
  const auto want = got;
  got[299] *= 1.0f + 4e-5f;
  CHECK(test::compare(got, want, {.abs = 1e-30, .rel = 1e-5}));
}

TEST_CASE("cuda: add is exact and touches nothing else") {
  Rng rng(2);
  const auto start = test::random_rows(rng, 1000), delta = test::random_rows(rng, 1000);
  const auto got = in_every_order(1000, [&](simt::Stream stream, float* out) {
    std::copy(start.begin(), start.end(), out);
    return cuda::add(stream, {.residual = out, .delta = delta.data(), .count = 999});
  });
  for (size_t i = 0; i < 999; ++i) REQUIRE(got[i] == start[i] + delta[i]);
  CHECK(got[999] == start[999]);
}

TEST_CASE("cuda: silu times up, also where exp overflows") {
  const std::vector<float> gate = {-200.0f, -88.0f, -1.0f, -0.0f, 0.0f, 0.5f, 88.0f, 200.0f};
  Rng rng(4);
  const auto up = test::random_rows(rng, gate.size());
  const auto got = in_every_order(gate.size(), [&](simt::Stream stream, float* out) {
    std::copy(gate.begin(), gate.end(), out);
    return cuda::silu_mul(stream, {.gate = out, .up = up.data(),
                                   .count = static_cast<int64_t>(gate.size())});
  });
  std::vector<float> want;
  for (size_t i = 0; i < gate.size(); ++i)
    want.push_back(static_cast<float>(gate[i] / (1 + std::exp(-double{gate[i]})) * up[i]));
  // exp within 2 ulp, three roundings; below -88 the f32 exp is infinite and the product is zero.
  if (const auto bad = test::compare(got, want, {.abs = 1e-36, .rel = 4e-7})) FAIL(*bad);
}

TEST_CASE("cuda: angles are those of the host to the last bit, far positions included") {
  const auto reference = open_kernels("reference", 1).value();
  const std::vector<int32_t> positions = {0, 1, 7, 4095, 131071, 262143};
  std::vector<double> inv_freq;
  for (int32_t j = 0; j < 20; ++j) inv_freq.push_back(std::pow(1e6, -j / 20.0));
  const size_t count = positions.size() * inv_freq.size();
  std::vector<float> want_cos(count), want_sin(count);
  reference->begin({.tokens = {}, .positions = positions, .spans = {}, .wanted = {}});
  cuda::BatchView batch;
  batch.positions = positions.data();
  batch.rows = static_cast<int32_t>(positions.size());
  std::vector<float> plain;
  for (const double factor : {1.0, 0.1 * std::log(4.0) + 1.0}) {   // plain, YaRN's by 4
    CAPTURE(factor);
    reference->rope_angles({.inv_freq = inv_freq, .factor = factor, .cos = want_cos.data(),
                            .sin = want_sin.data()});
    std::vector<float> sin(count);
    const auto cos = in_every_order(count, [&](simt::Stream stream, float* out) {
      return cuda::rope_angles(stream, {.inv_freq = inv_freq.data(), .factor = factor, .cos = out,
                                        .sin = sin.data(), .half = 20, .batch = batch});
    });
    CHECK(cos == want_cos);
    CHECK(sin == want_sin);
    CHECK(cos[0] == static_cast<float>(factor));                   // position 0: cos 0
    if (plain.empty()) plain = cos;
    CHECK((cos == plain) == (factor == 1.0));
  }
}

TEST_CASE("cuda: the wanted rows are gathered in their order") {
  Rng rng(3);
  const auto x = test::random_rows(rng, 7 * 33);
  const std::vector<int32_t> wanted = {0, 3, 6};
  cuda::BatchView batch;
  batch.rows = 7;
  batch.wanted = wanted.data();
  batch.wanted_count = 3;
  const auto got = in_every_order(3 * 33, [&](simt::Stream stream, float* out) {
    return cuda::gather_wanted(stream, {.x = x.data(), .out = out, .width = 33, .batch = batch});
  });
  for (size_t i = 0; i < got.size(); ++i)
    REQUIRE(got[i] == x[size_t(wanted[i / 33]) * 33 + i % 33]);
}
