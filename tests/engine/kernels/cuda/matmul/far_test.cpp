// Weights beyond 2^32 bytes: an expert or a row of the embedding is where 64-bit arithmetic says.
// The layers of Qwen3-30B-A3B come near (an embedding of BF16 has 622 MB, experts of a layer 403),
// larger models are beyond. The same numbers as from weights that lie close together, bit for bit.
#include <doctest/doctest.h>

#include "tests/engine/kernels/cuda/far_memory.h"
#include "tests/engine/kernels/cuda/matmul/product.h"

using namespace swarm;
using namespace swarm::test;

namespace {

constexpr size_t kGiB = size_t{1} << 30;

const Type& type_named(const char* name) {
  for (const Type& type : all_types())
    if (type.name == name) return type;
  FAIL(name);
  return all_types()[0];
}

}  // namespace

TEST_CASE("cuda: experts further than 4 GiB apart are found, few rows and many, fused or not") {
  constexpr int32_t kExperts = 6, kRows = 35, kCols = 256, kTokens = 5;
  for (const char* name : {"f16", "q4_k", "q6_k"}) {
    CAPTURE(std::string(name));
    const Type& type = type_named(name);
    Rng rng(61);
    const size_t bytes = cuda::placed_bytes(type.weight, kRows, kCols);
    const FarMemory gate(kExperts * kGiB), up(kExperts * kGiB);
    std::vector<uint8_t> near_gate(kExperts * bytes), near_up(kExperts * bytes);
    for (size_t e = 0; e < kExperts; ++e)
      for (const auto& [far, near] : {std::pair{&gate, &near_gate}, {&up, &near_up}}) {
        const Placed placed = random_placed(rng, type, kRows, kCols);
        std::memcpy(far->data() + e * kGiB, placed.bytes.data(), bytes);
        std::memcpy(near->data() + e * bytes, placed.bytes.data(), bytes);
      }
    // Of the first expert two rows, of the last three; those between have none.
    const std::vector<int32_t> begin{0, 2, 2, 2, 2, 2, 5}, token{0, 3, 1, 2, 4};
    simt::Emulator emulator;
    const Activations a = make_activations(
        emulator.stream(), random_rows(rng, size_t{kTokens} * kCols), kTokens, kCols);
    const auto run = [&](const uint8_t* weights, const uint8_t* other, size_t expert_bytes,
                         cuda::Family family) {
      std::vector<float> y(size_t{kTokens} * kRows);
      simt::poison(y.data(), y.size() * sizeof(float), 0);
      REQUIRE(cuda::matmul(emulator.stream(),
                           {.weight = {type.weight, kRows, kCols, weights}, .up = other,
                            .expert_bytes = static_cast<int64_t>(expert_bytes), .x = a.x.data(),
                            .quantised = a.quantised, .y = y.data(), .rows = kTokens,
                            .expert_begin = begin.data(), .pair_token = token.data(),
                            .experts = kExperts, .family = family})
                  .ok());
      return y;
    };
    for (const auto family : {cuda::Family::gemv, cuda::Family::gemm}) {
      const auto want = run(near_gate.data(), nullptr, bytes, family);
      CHECK(want[4 * kRows] == want[4 * kRows]);               // not NaN: it was written
      CHECK(run(gate.data(), nullptr, kGiB, family) == want);
      CHECK(run(gate.data(), up.data(), kGiB, family) ==
            run(near_gate.data(), near_up.data(), bytes, family));
    }
  }
}

TEST_CASE("cuda: rows of an embedding beyond 4 GiB are found") {
  constexpr int32_t kCols = 16384;
  for (const char* name : {"f32", "q8_0"}) {
    CAPTURE(std::string(name));
    const Type& type = type_named(name);
    const auto row_bytes = static_cast<size_t>(cuda::placed_row_bytes(type.weight, kCols));
    const auto rows = static_cast<int32_t>(5 * kGiB / row_bytes);
    const FarMemory table(static_cast<size_t>(rows) * row_bytes);
    const std::vector<int32_t> tokens{rows - 1, 3, rows / 2};  // beyond 4 GiB, near, beyond 2 GiB
    Rng rng(62);
    std::vector<float> want;
    for (const int32_t token : tokens) {
      const Placed placed = random_placed(rng, type, 1, kCols);
      std::memcpy(table.data() + static_cast<size_t>(token) * row_bytes, placed.bytes.data(),
                  row_bytes);
      want.insert(want.end(), placed.decoded.begin(), placed.decoded.end());
    }
    simt::Emulator emulator;
    std::vector<float> got(want.size());
    simt::poison(got.data(), got.size() * sizeof(float), 0);
    REQUIRE(cuda::embed(emulator.stream(), {.table = {type.weight, rows, kCols, table.data()},
                                            .tokens = tokens.data(), .out = got.data(),
                                            .rows = static_cast<int32_t>(tokens.size())})
                .ok());
    CHECK(got == want);
  }
}
