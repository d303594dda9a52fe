// Placing is exact: the embedding kernel, which decodes placed rows, gives every value of the
// reference decoding in every bit.
#include <doctest/doctest.h>

#include <algorithm>

#include "engine/formats/fp8.h"
#include "tests/engine/kernels/cuda/matmul/product.h"

using namespace swarm;
using namespace swarm::test;

TEST_CASE("cuda: rows of every type decode to the reference values after placing") {
  for (const Type& type : types_of_build()) {
    const int32_t block = cuda::weight_block(type.weight).elements;
    for (const int32_t cols : {block, 3 * block, 5 * block + (block == 1 ? 200 : 0), 4608}) {
      Rng rng(mix_seed(21, static_cast<uint64_t>(type.weight)));
      const int32_t rows = 5;
      const Placed table = random_placed(rng, type, rows, cols);
      const std::vector<int32_t> tokens{4, 0, 0, 2, 1, 3, 4};
      simt::for_each_order([&](simt::Stream stream, const std::string& order) {
        CAPTURE(order);
        CAPTURE(type.name);
        CAPTURE(cols);
        std::vector<float> out(tokens.size() * size_t(cols));
        simt::poison(out.data(), out.size() * sizeof(float), 0);
        REQUIRE(cuda::embed(stream, {.table = table.view, .tokens = tokens.data(),
                                     .out = out.data(), .rows = int32_t(tokens.size())})
                    .ok());
        for (size_t i = 0; i < tokens.size(); ++i) {
          // Equal as numbers: -0 and 0 are the same weight.
          const float* got = &out[i * size_t(cols)];
          const auto [bad, want] = std::mismatch(got, got + cols, table.row(tokens[i]));
          CAPTURE(i);
          REQUIRE(bad - got == cols);
        }
      });
    }
  }
}

TEST_CASE("cuda: a placed row takes the bytes of the file's row, rounded up to 16") {
  for (const Type& type : types_of_build()) {
    const auto* block = engine::formats::find_block_type(type.file);
    const cuda::WeightBlock mine = cuda::weight_block(type.weight);
    CAPTURE(type.name);
    CHECK(int64_t{block->block_elements} == mine.elements);
    CHECK(int64_t{block->block_bytes} == mine.bytes);
    CHECK(cuda::placed_row_bytes(type.weight, 2048) == 2048 / mine.elements * mine.bytes);
  }
}

TEST_CASE("cuda: FP8 rows of a checkpoint are placed as their codes, then their scales") {
  Rng rng(31);
  const int32_t rows = 130, cols = 384;          // two rows and three columns of scales
  std::vector<uint8_t> codes(size_t(rows) * size_t(cols));
  for (uint8_t& code : codes) code = static_cast<uint8_t>(rng.below(127));
  std::vector<float> scales(2 * 3);
  for (float& scale : scales) scale = 0.01f + static_cast<float>(rng.uniform());
  const size_t row_bytes = 3 * 132;
  std::vector<std::byte> packed(size_t(rows) * row_bytes);
  REQUIRE(engine::formats::pack_fp8_rows(codes, scales, 0, cols, packed).has_value());
  const auto placed_bytes = size_t(cuda::placed_row_bytes(cuda::WeightType::fp8, cols));
  std::vector<std::byte> placed(size_t(rows) * placed_bytes);
  cuda::place_rows(cuda::WeightType::fp8, packed.data(), row_bytes, rows, cols, placed.data());
  for (size_t r = 0; r < size_t(rows); ++r) {
    const std::byte* row = placed.data() + r * placed_bytes;
    CHECK(std::memcmp(row, codes.data() + r * size_t(cols), size_t(cols)) == 0);
    CHECK(std::memcmp(row + cols, scales.data() + r / 128 * 3, 3 * sizeof(float)) == 0);
  }
}
