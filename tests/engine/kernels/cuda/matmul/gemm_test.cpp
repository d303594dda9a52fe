// Many rows: every type on tensor cores against arithmetic in double (product.h). Lines and rows
// that do not fill tiles, widths that do not fill stages, both tile sizes.
#include <doctest/doctest.h>

#include "tests/engine/kernels/cuda/matmul/product.h"

using namespace swarm;
using namespace swarm::test;

namespace {

// Less than a stage, an odd number of groups, more stages than buffers.
std::vector<int32_t> widths(const Type& type) {
  constexpr bool kFew = simt::kInstrumented;       // the one that ends inside of a stage
  switch (cuda::weight_block(type.weight).elements) {
    case 1: return kFew ? std::vector{100} : std::vector{7, 100, 320};
    case 32: return kFew ? std::vector{160} : std::vector{32, 160, 352};
    default: return kFew ? std::vector{256} : std::vector{256, 768};
  }
}

// Both sizes of tile, full and not.
std::vector<int32_t> row_counts() {
  return simt::kInstrumented ? std::vector{1, 70} : std::vector{1, 16, 70};
}

}  // namespace

TEST_CASE("cuda: gemm multiplies every type like its decoded weights") {
  for (const Type& type : types_of_build())
    for (const int32_t cols : widths(type)) {
      Rng rng(mix_seed(41, static_cast<uint64_t>(type.weight)));
      const Placed w = random_placed(rng, type, 141, cols);
      for (const int32_t tokens : row_counts()) {
        simt::Emulator emulator;
        const Activations a = make_activations(
            emulator.stream(), random_rows(rng, size_t(tokens) * size_t(cols)), tokens, cols);
        check_products(type, w, a, multiply(emulator.stream(), w, a, cuda::Family::gemm),
                       Rounding::gemm);
      }
    }
}

TEST_CASE("cuda: gemm gives a row the same bits in every order and for every number of rows") {
  for (const Type& type : types_of_build()) {
    if (!of_this_build(type)) continue;
    Rng rng(mix_seed(42, static_cast<uint64_t>(type.weight)));
    const int32_t cols = 256, most = 67;
    const Placed w = random_placed(rng, type, 33, cols);
    const auto x = random_rows(rng, size_t(most) * size_t(cols));
    std::vector<float> first;
    simt::for_each_order([&](simt::Stream stream, const std::string& order) {
      CAPTURE(order);
      CAPTURE(type.name);
      for (const int32_t tokens : {most, 1, 9, 16}) {
        const std::vector<float> some(x.begin(), x.begin() + tokens * cols);
        const Activations a = make_activations(stream, some, tokens, cols);
        const auto y = multiply(stream, w, a, cuda::Family::gemm);
        if (first.empty()) first = y;
        CAPTURE(tokens);
        REQUIRE(std::memcmp(first.data(), y.data(), y.size() * sizeof(float)) == 0);
      }
    });
  }
}

TEST_CASE("cuda: by size, few rows take gemv and many take gemm") {
  const Type& type = all_types()[4];
  Rng rng(43);
  simt::Emulator emulator;
  const Placed w = random_placed(rng, type, 5, 512);
  for (const int32_t tokens : {1, 32, 33, 40}) {
    const Activations a = make_activations(
        emulator.stream(), random_rows(rng, size_t(tokens) * 512), tokens, 512);
    const auto got = multiply(emulator.stream(), w, a, cuda::Family::by_size);
    const auto same = tokens <= 32 ? cuda::Family::gemv : cuda::Family::gemm;
    const auto other = tokens <= 32 ? cuda::Family::gemm : cuda::Family::gemv;
    CHECK(got == multiply(emulator.stream(), w, a, same));
    CHECK(got != multiply(emulator.stream(), w, a, other));   // sums in another order
  }
}
