// Rows as int8 codes, bit for bit against the definition in matmul.h.
#include <doctest/doctest.h>

#include <limits>

#include "tests/engine/kernels/cuda/matmul/product.h"

using namespace swarm;
using namespace swarm::test;

namespace {

int32_t low_sum(uint32_t sums) { return static_cast<int16_t>(sums & 0xffffu); }
int32_t high_sum(uint32_t sums) { return static_cast<int16_t>(sums >> 16); }

void check_row(const Activations& a, int32_t row) {
  const float* x = a.x.data() + row * a.cols;
  const Row want = make_row(x, a.cols);
  const int32_t padded = a.quantised.padded;
  for (int32_t c = 0; c < padded; ++c) {
    CAPTURE(c);
    const double scale = double{a.quantised.scales[(row * padded + c) / 32]};
    const double value = scale * a.quantised.codes[row * padded + c];
    REQUIRE(scale == (c < a.cols ? want.scale[size_t(c)] : 0.0));
    REQUIRE(value == (c < a.cols ? want.value[size_t(c)] : 0.0));
  }
  for (int32_t g = 0; g < padded / 32; ++g) {
    int32_t low = 0, high = 0;
    for (int32_t i = 0; i < 16; ++i) {
      low += a.quantised.codes[row * padded + 32 * g + i];
      high += a.quantised.codes[row * padded + 32 * g + 16 + i];
    }
    REQUIRE(low_sum(a.quantised.sums[row * padded / 32 + g]) == low);
    REQUIRE(high_sum(a.quantised.sums[row * padded / 32 + g]) == high);
  }
}

}  // namespace

TEST_CASE("cuda: activations become the codes of the definition, padded with zeros") {
  for (const int32_t cols : {32, 96, 480, 512, 544, 2048}) {
    for (const int32_t rows : {1, 3}) {
      Rng rng(mix_seed(5, static_cast<uint64_t>(cols)));
      auto x = random_rows(rng, size_t(rows) * size_t(cols));
      std::fill(x.begin(), x.begin() + 32, 0.0f);          // a group of zeros
      if (cols > 32) x[40] = 1e30f;                        // an outlier
      std::vector<std::byte> first;
      simt::for_each_order([&](simt::Stream stream, const std::string& order) {
        CAPTURE(order);
        CAPTURE(cols);
        const Activations a = make_activations(stream, x, rows, cols);
        for (int32_t r = 0; r < rows; ++r) check_row(a, r);
        if (first.empty()) first = a.memory;
        CHECK(first == a.memory);
      });
    }
  }
}

TEST_CASE("cuda: a group that is not finite is not hidden by its codes") {
  simt::Emulator emulator;
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(),
                          std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    std::vector<float> x(96, 0.5f);
    x[70] = bad;
    const Activations a = make_activations(emulator.stream(), x, 1, 96);
    CHECK(std::isfinite(a.quantised.scales[0]));
    CHECK(std::isfinite(a.quantised.scales[1]));
    CHECK(!std::isfinite(a.quantised.scales[2]));
  }
}

TEST_CASE("cuda: magnitudes too small for a reciprocal become zero") {
  simt::Emulator emulator;
  const Activations a = make_activations(emulator.stream(), std::vector<float>(32, 1e-40f), 1, 32);
  CHECK(a.quantised.scales[0] == 0.0f);
  CHECK(a.quantised.codes[0] == 0);
}
