// Placing is exact: the embedding kernel, which decodes placed rows, gives every value of the
// reference decoding in every bit.
#include <doctest/doctest.h>

#include "tests/engine/kernels/cuda/matmul/product.h"

using namespace swarm;
using namespace swarm::test;

TEST_CASE("cuda: rows of every type decode to the reference values after placing") {
  for (const Type& type : all_types()) {
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
        for (size_t i = 0; i < tokens.size(); ++i)
          for (int32_t c = 0; c < cols; ++c) {
            CAPTURE(i);
            CAPTURE(c);
            // Equal as numbers: -0 and 0 are the same weight.
            REQUIRE(out[i * size_t(cols) + size_t(c)] == table.row(tokens[i])[c]);
          }
      });
    }
  }
}

TEST_CASE("cuda: a placed row takes the bytes of the file's row, rounded up to 16") {
  for (const Type& type : all_types()) {
    if (type.weight == cuda::WeightType::fp8) continue;
    const auto* block = engine::formats::find_block_type(type.file);
    const cuda::WeightBlock mine = cuda::weight_block(type.weight);
    CAPTURE(type.name);
    CHECK(int64_t{block->block_elements} == mine.elements);
    CHECK(int64_t{block->block_bytes} == mine.bytes);
    CHECK(cuda::placed_row_bytes(type.weight, 2048) == 2048 / mine.elements * mine.bytes);
  }
  CHECK(cuda::placed_row_bytes(cuda::WeightType::fp8, 2048) == 2048 + 64);
}
