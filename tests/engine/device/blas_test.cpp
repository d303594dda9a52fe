// The matrix product on whichever backend is under test, against loops over doubles written here.
// Inputs are small integers over 8, exact in f16 and bf16, so every product is exact and every sum
// below 2^24 / 64: f32 accumulation in any order gives the exact answer and the bound is zero.
#include <doctest/doctest.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <vector>

#include "engine/base/rng.h"
#include "engine/device/blas.h"
#include "engine/device/staging.h"
#include "tests/engine/device/under_test.h"

using namespace swarm;
using namespace swarm::engine::device;

namespace {

struct Matrix {
  int64_t rows, cols, stride;
  std::vector<float> values;              // rows * stride, NaN between the rows

  float at(int64_t r, int64_t c) const { return values[static_cast<size_t>(r * stride + c)]; }
};

Matrix random_matrix(Rng& rng, int64_t rows, int64_t cols, int64_t stride) {
  constexpr float kNan = std::numeric_limits<float>::quiet_NaN();
  Matrix m{rows, cols, stride, std::vector<float>(static_cast<size_t>(rows * stride), kNan)};
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t c = 0; c < cols; ++c)
      m.values[static_cast<size_t>(r * stride + c)] =
          static_cast<float>(static_cast<int64_t>(rng.below(17)) - 8) / 8;
  return m;
}

// Exact for multiples of 1/8 in [-1, 1] and for NaN.
uint16_t to_bits(GemmInput type, float value) {
  const auto bits = std::bit_cast<uint32_t>(value);
  if (type == GemmInput::bf16) return static_cast<uint16_t>(bits >> 16);
  if (value == 0) return 0;
  const uint32_t exponent = ((bits >> 23) & 255) == 255 ? 31 : ((bits >> 23) & 255) - 127 + 15;
  return static_cast<uint16_t>((bits >> 31) << 15 | exponent << 10 | (bits >> 13 & 1023));
}

struct World {
  std::unique_ptr<Device> device = test::open_device_under_test();
  Stream stream = device->make_stream().value();
  Staging staging = Staging::make(*device, stream).value();
  size_t workspace_bytes = std::max<size_t>(1, blas_workspace_bytes(device->info()));
  Buffer<std::byte> workspace =
      device->allocate<std::byte>(workspace_bytes, "workspace").value();
  std::unique_ptr<Blas> blas = Blas::open(*device, stream, workspace.span()).value();

  Buffer<uint16_t> upload(GemmInput type, const Matrix& m) {
    std::vector<uint16_t> bits;
    for (const float value : m.values) bits.push_back(to_bits(type, value));
    auto out = device->allocate<uint16_t>(bits.size(), "matrix").value();
    REQUIRE(staging.upload(out.span(), std::span<const uint16_t>(bits)).has_value());
    return out;
  }
};

struct Case {
  int32_t tokens, rows, cols;
  int32_t gap;                            // extra elements from row to row
};

}  // namespace

TEST_CASE("blas: y = x * weight^T, exactly, for ragged shapes, strides, both types, and adding") {
  World w;
  Rng rng(20);
  for (const Case& c : {Case{1, 1, 1, 0}, Case{1, 64, 128, 0}, Case{3, 5, 7, 0},
                        Case{17, 33, 65, 0}, Case{64, 96, 256, 8}, Case{129, 40, 72, 24}})
    for (const GemmInput type : {GemmInput::f16, GemmInput::bf16})
      for (const GemmOutput output : {GemmOutput::overwrite, GemmOutput::add}) {
        CAPTURE(c.tokens);
        CAPTURE(c.rows);
        CAPTURE(c.cols);
        CAPTURE(type);
        const Matrix x = random_matrix(rng, c.tokens, c.cols, c.cols + c.gap);
        const Matrix weight = random_matrix(rng, c.rows, c.cols, c.cols + c.gap);
        const Matrix before = random_matrix(rng, c.tokens, c.rows, c.rows + c.gap);
        const auto x_bits = w.upload(type, x);
        const auto weight_bits = w.upload(type, weight);
        auto y = w.device->allocate<float>(before.values.size(), "y").value();
        if (output == GemmOutput::add)
          REQUIRE(w.staging.upload(y.span(), std::span<const float>(before.values)).has_value());
        w.blas->gemm({.input = type, .output = output, .tokens = c.tokens, .rows = c.rows,
                      .cols = c.cols, .x = x_bits.span(), .weight = weight_bits.span(),
                      .y = y.span(), .x_stride = x.stride, .weight_stride = weight.stride,
                      .y_stride = before.stride});
        std::vector<float> got(before.values.size());
        REQUIRE(w.staging.download(std::span(got), y.span()).has_value());
        int wrong = 0;
        for (int32_t t = 0; t < c.tokens; ++t)
          for (int32_t r = 0; r < c.rows; ++r) {
            double want = output == GemmOutput::add ? before.at(t, r) : 0;
            for (int32_t i = 0; i < c.cols; ++i) want += x.at(t, i) * weight.at(r, i);
            wrong += !(got[static_cast<size_t>(t * before.stride + r)] == want);
          }
        CHECK(wrong == 0);
      }
}

TEST_CASE("blas: a captured product runs on replay") {
  World w;
  Rng rng(21);
  const Matrix x = random_matrix(rng, 4, 16, 16);
  const auto x_bits = w.upload(GemmInput::bf16, x);
  auto y = w.device->allocate<float>(16, "y").value();
  const GemmArgs args{.input = GemmInput::bf16, .tokens = 4, .rows = 4, .cols = 16,
                      .x = x_bits.span(), .weight = x_bits.span(), .y = y.span()};
  w.blas->gemm(args);                     // libraries may set themselves up in the first call
  w.stream.begin_capture();
  w.blas->gemm(args);
  const auto exec = w.stream.end_capture().value().instantiate().value();
  w.stream.fill_bytes(y.span(), 0xff);
  w.stream.launch(exec);
  std::vector<float> got(16);
  REQUIRE(w.staging.download(std::span(got), y.span()).has_value());
  double want = 0;
  for (int32_t i = 0; i < 16; ++i) want += x.at(1, i) * x.at(3, i);
  CHECK(got[1 * 4 + 3] == want);
  CHECK(got[3 * 4 + 1] == want);
}

TEST_CASE("blas: no tokens is no work") {
  World w;
  const auto x = w.device->allocate<uint16_t>(16, "x").value();
  auto y = w.device->allocate<float>(16, "y").value();
  w.blas->gemm({.tokens = 0, .rows = 4, .cols = 4, .x = x.span(), .weight = x.span(),
                .y = y.span()});
  CHECK(w.stream.synchronize().has_value());
}
