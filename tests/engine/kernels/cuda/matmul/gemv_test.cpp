// Few rows: every type against arithmetic in double (product.h), as lines of one matrix, as gate
// and up, dense and routed.
#include <doctest/doctest.h>

#include "tests/engine/kernels/cuda/matmul/product.h"

using namespace swarm;
using namespace swarm::test;

namespace {

// Widths that leave lanes idle, fill one warp, two and four per line.
std::vector<int32_t> widths(const Type& type) {
  constexpr bool kFew = simt::kInstrumented;
  switch (cuda::weight_block(type.weight).elements) {
    case 1: return kFew ? std::vector{7, 600} : std::vector{1, 7, 100, 256, 600};
    case 32: return kFew ? std::vector{96, 2080} : std::vector{32, 96, 1056, 2080};
    default: return kFew ? std::vector{256, 2304} : std::vector{256, 768, 2304};
  }
}

std::vector<int32_t> row_counts() {
  return simt::kInstrumented ? std::vector{1, 19} : std::vector{1, 3, 8, 19};
}

}  // namespace

TEST_CASE("cuda: gemv multiplies every type like its decoded weights") {
  for (const Type& type : types_of_build())
    for (const int32_t cols : widths(type)) {
      Rng rng(mix_seed(31, static_cast<uint64_t>(type.weight)));
      const int32_t rows = 13;
      const Placed w = random_placed(rng, type, rows, cols);
      for (const int32_t tokens : row_counts()) {
        simt::Emulator emulator;
        const Activations a = make_activations(
            emulator.stream(), random_rows(rng, size_t(tokens) * size_t(cols)), tokens, cols);
        check_products(type, w, a, multiply(emulator.stream(), w, a, cuda::Family::gemv),
                       Rounding::gemv);
      }
    }
}

TEST_CASE("cuda: gemv gives a row the same bits in every order and for every number of rows") {
  for (const Type& type : types_of_build()) {
    if (!of_this_build(type)) continue;
    Rng rng(mix_seed(32, static_cast<uint64_t>(type.weight)));
    const int32_t rows = 9, cols = 1280, most = 11;
    const Placed w = random_placed(rng, type, rows, cols);
    const auto x = random_rows(rng, size_t(most) * size_t(cols));
    std::vector<float> first;
    simt::for_each_order([&](simt::Stream stream, const std::string& order) {
      CAPTURE(order);
      CAPTURE(type.name);
      for (const int32_t tokens : {most, 1, 2, 8}) {
        const std::vector<float> some(x.begin(), x.begin() + tokens * cols);
        const Activations a = make_activations(stream, some, tokens, cols);
        const auto y = multiply(stream, w, a, cuda::Family::gemv);
        if (first.empty()) first = y;
        CAPTURE(tokens);
        REQUIRE(std::memcmp(first.data(), y.data(), y.size() * sizeof(float)) == 0);
      }
    });
  }
}

TEST_CASE("cuda: the bound of a product notices one wrong code") {
  for (const Type& type : types_of_build()) {
    Rng rng(mix_seed(33, static_cast<uint64_t>(type.weight)));
    const int32_t cols = 768;
    Placed w = random_placed(rng, type, 1, cols);
    simt::Emulator emulator;
    const Activations a =
        make_activations(emulator.stream(), random_rows(rng, size_t(cols)), 1, cols);
    const Product want =
        product(type, w.row(0), make_row(a.x.data(), cols), Rounding::gemv);
    // The first bytes of a placed row belong to codes of the first group. Some activations are
    // nearly zero: of 8 bytes changed one at a time, most must be noticed. (Numbers: of the byte
    // that ends in an exponent or the upper half of a mantissa.)
    const cuda::WeightBlock block = cuda::weight_block(type.weight);
    const size_t stride = block.elements == 1 ? size_t(block.bytes) : 1;
    const size_t offset = stride == 4 ? 2 : stride - 1;
    const auto flip = std::byte{uint8_t(type.weight == cuda::WeightType::fp8 ? 8 : 1)};
    int noticed = 0;
    for (size_t i = 0; i < 8; ++i) {
      std::byte& byte = w.bytes[i * stride + offset];
      byte ^= flip;
      const double got = multiply(emulator.stream(), w, a, cuda::Family::gemv)[0];
      noticed += std::abs(got - want.value) > want.bound ? 1 : 0;
      byte ^= flip;
    }
    CAPTURE(type.name);
    CHECK(noticed >= 5);
  }
}
