// Weights on their way to the device: repacked on several threads, a block of page-locked memory at
// a time. What place_rows makes of a row is the business of matmul/place_test.cpp.
#include <doctest/doctest.h>

#include <vector>

#include "engine/kernels/cuda/weights/place_weights.h"
#include "tests/engine/kernels/cuda/model/emulated_device.h"
#include "tests/engine/kernels/matrices.h"

using namespace swarm;
using namespace swarm::engine;

TEST_CASE("cuda: a matrix larger than a block of staging arrives as its rows, one by one") {
  const auto* block = formats::find_block_type(formats::TensorType::q8_0);
  Rng rng(22);
  const int32_t cols = 2048, some = 31;
  const int32_t rows = 4000 + 7;                 // 8.7 MB; a block has 8
  const test::Matrix few = test::random_matrix(rng, *block, some, cols);
  kernels::Weight weight = few.weight;
  std::vector<std::byte> file;                   // the few rows, again and again
  for (int32_t r = 0; r < rows; ++r) {
    const std::byte* row = few.weight.row(r % some);
    file.insert(file.end(), row, row + weight.row_bytes);
  }
  weight.rows = rows;
  weight.data = file.data();
  constexpr auto kType = kernels::cuda::WeightType::q8_0;
  std::vector<std::byte> want(kernels::cuda::placed_bytes(kType, rows, cols));
  kernels::cuda::place_rows(kType, file.data(), weight.row_bytes, rows, cols, want.data());

  const auto backend = test::open_emulated();
  REQUIRE(backend->footprint().placed_bytes(weight) == want.size());
  device::ArenaPlan plan;
  plan.add("weights", want.size());
  REQUIRE(backend->memory().reserve(plan).has_value());
  std::byte* to = backend->memory().claim("weights", want.size());
  const kernels::Weight placed = backend->place(weight, to);
  CHECK(placed.data == to);
  std::vector<std::byte> got(want.size());
  backend->memory().read(got, to);
  CHECK(got == want);
}
