// Two halves of every activation: how much is lost, in every thread order with the same bits, and
// that scales come back out. Bounds are those of halves.h, from the formats: 8 and 11 bits twice.
#include "engine/kernels/cuda/matmul/halves.h"

#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "engine/base/rng.h"
#include "engine/formats/block_types.h"
#include "engine/kernels/cuda/simt/emulator.h"
#include "tests/engine/kernels/matrices.h"

using namespace swarm;
using namespace swarm::engine;
using namespace swarm::engine::kernels::cuda;

namespace {

struct Halves {
  std::vector<uint16_t> high, low;
  std::vector<float> scale;
};

Halves split(const std::vector<float>& x, int32_t rows, int32_t cols, int32_t stride, bool bf16) {
  Halves first;
  const auto count = static_cast<size_t>(rows * stride);
  simt::for_each_order([&](simt::Stream stream, const std::string& order) {
    CAPTURE(order);
    Halves out{std::vector<uint16_t>(count, 0x7fff), std::vector<uint16_t>(count, 0x7fff),
               std::vector<float>(static_cast<size_t>(rows))};
    simt::poison(out.scale.data(), out.scale.size() * sizeof(float), 0);
    REQUIRE(split_halves(stream, {.x = x.data(), .high = out.high.data(), .low = out.low.data(),
                                  .scale = out.scale.data(), .rows = rows, .cols = cols,
                                  .stride = stride, .bf16 = bf16}).ok());
    if (first.high.empty()) first = out;
    CHECK(first.high == out.high);
    CHECK(first.low == out.low);
    CHECK(std::memcmp(first.scale.data(), out.scale.data(), out.scale.size() * 4) == 0);
  });
  return first;
}

double value(uint16_t bits, bool bf16) {
  return bf16 ? formats::bf16_to_f32(bits) : formats::f16_to_f32(bits);
}

}  // namespace

TEST_CASE("cuda: halves of activations lose what they may, whatever the size of a row") {
  for (const bool bf16 : {false, true})
    for (const int32_t cols : {1, 31, 256, 300})
      for (const double size : {1e-30, 1e-5, 1.0, 3e4, 1e9, 1e30}) {
        CAPTURE(bf16);
        CAPTURE(cols);
        CAPTURE(size);
        const int32_t rows = 3, stride = (cols + 7) / 8 * 8;
        Rng rng(static_cast<uint64_t>(cols));
        auto x = test::random_rows(rng, static_cast<size_t>(rows * cols));
        for (float& v : x) v = static_cast<float>(v * size);
        for (int32_t c = 0; c < cols; ++c) x[static_cast<size_t>(cols + c)] = 0;   // a zero row
        const Halves got = split(x, rows, cols, stride, bf16);
        int wrong = 0;
        for (int32_t r = 0; r < rows; ++r) {
          double largest = 0;
          for (int32_t c = 0; c < cols; ++c)
            largest = std::max(largest, std::abs(double(x[static_cast<size_t>(r * cols + c)])));
          for (int32_t c = 0; c < stride; ++c) {
            const auto at = static_cast<size_t>(r * stride + c);
            const double back = (value(got.high[at], bf16) + value(got.low[at], bf16)) *
                                double(got.scale[static_cast<size_t>(r)]);
            const double want = c < cols ? double(x[static_cast<size_t>(r * cols + c)]) : 0.0;
            const double bound = bf16 ? std::abs(want) * 0x1p-17 + 0x1p-133
                                      : std::abs(want) * 0x1p-22 + largest * 0x1p-33;
            wrong += !(std::abs(back - want) <= bound);
          }
        }
        CHECK(wrong == 0);
      }
}

TEST_CASE("cuda: a row that is not all numbers stays so, and no other row notices") {
  for (const bool bf16 : {false, true})
    for (const float bad : {std::numeric_limits<float>::infinity(),
                            std::numeric_limits<float>::quiet_NaN()}) {
      std::vector<float> x(16, 1.0f);
      x[3] = bad;
      const Halves got = split(x, 2, 8, 8, bf16);
      const double sum = value(got.high[3], bf16) + value(got.low[3], bf16);
      CHECK_FALSE(std::isfinite(sum * double(got.scale[0])));
      for (size_t i = 8; i < 16; ++i)
        CHECK((value(got.high[i], bf16) + value(got.low[i], bf16)) * double(got.scale[1]) == 1.0);
    }
}

TEST_CASE("cuda: rows get their scales back") {
  std::vector<float> first;
  simt::for_each_order([&](simt::Stream stream, const std::string&) {
    std::vector<float> y(3 * 300);
    for (size_t i = 0; i < y.size(); ++i) y[i] = static_cast<float>(i);
    const std::vector<float> scale{1.0f, 0.25f, 1024.0f};
    REQUIRE(scale_rows(stream, {.y = y.data(), .scale = scale.data(), .rows = 3,
                                .cols = 300}).ok());
    int wrong = 0;
    for (size_t i = 0; i < y.size(); ++i)
      wrong += y[i] != static_cast<float>(i) * scale[i / 300];
    CHECK(wrong == 0);
  });
}
