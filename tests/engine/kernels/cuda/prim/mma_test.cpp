// Tensor core products and ldmatrix against plain loops over matrices. The places of elements in
// registers are stated here as the PTX ISA words them, element by element, and not as the host
// bodies compute them.
#include <doctest/doctest.h>

#include <array>
#include <cmath>
#include <functional>

#include "engine/kernels/cuda/prim/types.h"
#include "tests/engine/kernels/cuda/prim/prim_run.h"

using namespace swarm;
using test::as_float;
using test::as_word;

namespace {

struct Place {
  int row, column;
};
// Element i of the fragment of a lane: groupID = lane >> 2, threadID_in_group = lane % 4.
using Layout = std::function<Place(int lane, int i)>;

Place a_k16(int lane, int i) {         // .f16 and .bf16, m16n8k16
  const int group = lane >> 2, in_group = lane % 4;
  const bool upper = (0 <= i && i < 2) || (4 <= i && i < 6);
  return {upper ? group : group + 8, in_group * 2 + (i & 1) + (i < 4 ? 0 : 8)};
}
Place b_k16(int lane, int i) {
  return {(lane % 4) * 2 + (i & 1) + (i < 2 ? 0 : 8), lane >> 2};
}
Place a_k8(int lane, int i) {          // .f16 and .bf16, m16n8k8
  return {i < 2 ? lane >> 2 : (lane >> 2) + 8, (lane % 4) * 2 + (i & 1)};
}
Place b_k8(int lane, int i) { return {(lane % 4) * 2 + i, lane >> 2}; }
Place a_s8_k32(int lane, int i) {      // .s8, m16n8k32
  const bool upper = (0 <= i && i < 4) || (8 <= i && i < 12);
  return {upper ? lane >> 2 : (lane >> 2) + 8, (lane % 4) * 4 + (i & 3) + (i < 8 ? 0 : 16)};
}
Place b_s8_k32(int lane, int i) {
  return {(lane % 4) * 4 + (i & 3) + (i < 4 ? 0 : 16), lane >> 2};
}
Place a_s8_k16(int lane, int i) {      // .s8, m16n8k16
  return {i < 4 ? lane >> 2 : (lane >> 2) + 8, (lane % 4) * 4 + (i & 3)};
}
Place b_s8_k16(int lane, int i) { return {(lane % 4) * 4 + i, lane >> 2}; }
Place c_place(int lane, int i) {       // accumulators of all shapes
  return {i < 2 ? lane >> 2 : (lane >> 2) + 8, (lane % 4) * 2 + (i & 1)};
}

struct Matrix {
  std::array<std::array<double, 32>, 32> at{};
};

using Decode = std::function<double(uint32_t word, int i)>;

// Collects a matrix from the registers of all lanes.
Matrix collect(const std::vector<uint32_t>& in, int words_per_thread, int first_word, int elements,
               int per_word, const Layout& layout, const Decode& decode) {
  Matrix m;
  int seen = 0;
  for (auto& row : m.at) row.fill(std::nan(""));
  for (int lane = 0; lane < 32; ++lane)
    for (int i = 0; i < elements; ++i) {
      const Place place = layout(lane, i);
      const auto word =
          in[static_cast<size_t>(lane * words_per_thread + first_word + i / per_word)];
      double& to = m.at[static_cast<size_t>(place.row)][static_cast<size_t>(place.column)];
      CHECK(std::isnan(to));           // the table names no element twice
      to = decode(word, i % per_word);
      ++seen;
    }
  CHECK(seen == 32 * elements);
  return m;
}

double product(const Matrix& a, const Matrix& b, Place place, int k) {
  double sum = 0;
  for (int i = 0; i < k; ++i)
    sum += a.at[static_cast<size_t>(place.row)][static_cast<size_t>(i)] *
           b.at[static_cast<size_t>(i)][static_cast<size_t>(place.column)];
  return sum;
}

double f16_element(uint32_t word, int i) {
  return prim::to_float(prim::f16{static_cast<uint16_t>(word >> (16 * i))});
}
double bf16_element(uint32_t word, int i) {
  return prim::to_float(prim::bf16{static_cast<uint16_t>(word >> (16 * i))});
}
double s8_element(uint32_t word, int i) { return static_cast<int8_t>(word >> (8 * i)); }
double word_element(uint32_t word, int) { return as_float(word); }

void check_half_products(const std::string& name, const Decode& decode,
                         const std::vector<uint32_t>& in, double relative) {
  const auto out = test::run_emulated(name, in, 1, 32);
  const Matrix a = collect(in, 10, 0, 8, 2, a_k16, decode);
  const Matrix b = collect(in, 10, 4, 4, 2, b_k16, decode);
  const Matrix a8 = collect(in, 10, 0, 4, 2, a_k8, decode);
  const Matrix b8 = collect(in, 10, 4, 2, 2, b_k8, decode);
  const Matrix c = collect(in, 10, 6, 4, 1, c_place, word_element);
  for (int lane = 0; lane < 32; ++lane)
    for (int i = 0; i < 4; ++i) {
      const Place at = c_place(lane, i);
      CAPTURE(lane);
      CAPTURE(i);
      const double before = c.at[static_cast<size_t>(at.row)][static_cast<size_t>(at.column)];
      const uint32_t* got = &out[static_cast<size_t>(lane * 12 + i)];
      const double wide = before + product(a, b, at, 16), narrow = before + product(a8, b8, at, 8);
      CHECK(std::abs(as_float(got[0]) - wide) <= relative);
      CHECK(std::abs(as_float(got[4]) - narrow) <= relative);
      CHECK(got[8] == static_cast<uint32_t>(at.row * 8 + at.column));
    }
}

}  // namespace

TEST_CASE("prim: mma over f16 and bf16 is the matrix product, exact for small integers") {
  Rng rng(11);
  for (int round = 0; round < 3; ++round) {
    check_half_products("mma_f16", f16_element,
                        test::random_inputs(rng, test::emulated_case("mma_f16"), 32), 0);
    check_half_products("mma_bf16", bf16_element,
                        test::random_inputs(rng, test::emulated_case("mma_bf16"), 32), 0);
  }
}

TEST_CASE("prim: mma over fractions is the matrix product within f32 rounding") {
  Rng rng(12);
  std::vector<uint32_t> in;
  for (int i = 0; i < 32 * 10; ++i) {
    const auto draw = [&] { return prim::to_f16(static_cast<float>(rng.uniform() * 2 - 1)); };
    in.push_back(i % 10 < 6 ? prim::pack(draw(), draw())
                            : as_word(static_cast<float>(rng.uniform())));
  }
  // 17 terms of at most 1: 16 roundings, each at most half a unit of a sum below 32.
  check_half_products("mma_f16", f16_element, in, 16 * 0x1p-20);
}

TEST_CASE("prim: mma over signed bytes is the exact integer product") {
  Rng rng(13);
  for (int round = 0; round < 3; ++round) {
    auto in = test::random_inputs(rng, test::emulated_case("mma_s8"), 32);
    if (round == 2)                    // the largest sums
      for (size_t i = 0; i < in.size(); ++i) in[i] = i % 10 < 6 ? 0x80808080u : 0u;
    const auto out = test::run_emulated("mma_s8", in, 1, 32);
    const Matrix a = collect(in, 10, 0, 16, 4, a_s8_k32, s8_element);
    const Matrix b = collect(in, 10, 4, 8, 4, b_s8_k32, s8_element);
    const Matrix a16 = collect(in, 10, 0, 8, 4, a_s8_k16, s8_element);
    const Matrix b16 = collect(in, 10, 4, 4, 4, b_s8_k16, s8_element);
    for (int lane = 0; lane < 32; ++lane)
      for (int i = 0; i < 4; ++i) {
        const Place at = c_place(lane, i);
        const auto before = static_cast<int32_t>(in[static_cast<size_t>(lane * 10 + 6 + i)] >> 4);
        const uint32_t* got = &out[static_cast<size_t>(lane * 8 + i)];
        CHECK(static_cast<int32_t>(got[0]) == before + static_cast<int32_t>(product(a, b, at, 32)));
        CHECK(static_cast<int32_t>(got[4]) ==
              before + static_cast<int32_t>(product(a16, b16, at, 16)));
      }
  }
}

TEST_CASE("prim: ldmatrix gives lane l row l / 4, or column l / 4 when transposed") {
  Rng rng(14);
  const auto in = test::random_inputs(rng, test::emulated_case("ldmatrix"), 32);
  const auto out = test::run_emulated("ldmatrix", in, 1, 32);
  const auto element = [&](int matrix, int row, int column) {
    const uint32_t tile_row = in[static_cast<size_t>((matrix * 8 + row) * 9 + 8)];
    const size_t word = tile_row / 2 * 9 + tile_row % 2 * 4 + static_cast<size_t>(column / 2);
    return (in[word] >> (column % 2 * 16)) & 0xffffu;
  };
  for (int lane = 0; lane < 32; ++lane) {
    const uint32_t* got = &out[static_cast<size_t>(lane * 14)];
    const int outer = lane / 4, inner = lane % 4 * 2;
    const auto row = [&](int m) {
      return element(m, outer, inner) | element(m, outer, inner + 1) << 16;
    };
    const auto column = [&](int m) {
      return element(m, inner, outer) | element(m, inner + 1, outer) << 16;
    };
    CHECK(got[0] == row(0));
    CHECK(got[7] == column(0));
    for (int m = 0; m < 2; ++m) CHECK(got[1 + m] == row(m));
    for (int m = 0; m < 2; ++m) CHECK(got[8 + m] == column(m));
    for (int m = 0; m < 4; ++m) CHECK(got[3 + m] == row(m));
    for (int m = 0; m < 4; ++m) CHECK(got[10 + m] == column(m));
  }
}

TEST_CASE("prim: tiles through ldmatrix and mma are the product of the tiles") {
  Rng rng(15);
  const auto in = test::random_inputs(rng, test::emulated_case("tile_product"), 32);
  const auto out = test::run_emulated("tile_product", in, 1, 32);
  // A: 4 words of a lane are half a row; B as [n][k]: 2 words of a lane are a quarter of a row.
  const auto a = [&](int row, int k) {
    return f16_element(in[static_cast<size_t>((row * 2 + k / 8) * 6 + k % 8 / 2)], k % 2);
  };
  const auto b = [&](int k, int n) {
    return f16_element(in[static_cast<size_t>((n * 4 + k / 4) * 6 + 4 + k % 4 / 2)], k % 2);
  };
  const auto a_byte = [&](int row, int k) {
    return s8_element(in[static_cast<size_t>((row * 2 + k / 16) * 6 + k % 16 / 4)], k % 4);
  };
  const auto b_byte = [&](int k, int n) {
    return s8_element(in[static_cast<size_t>((n * 4 + k / 8) * 6 + 4 + k % 8 / 4)], k % 4);
  };
  for (int lane = 0; lane < 32; ++lane)
    for (int i = 0; i < 4; ++i) {
      const Place at = c_place(lane, i);
      double want = 0, want_bytes = 0;
      for (int k = 0; k < 16; ++k) want += a(at.row, k) * b(k, at.column);
      for (int k = 0; k < 32; ++k) want_bytes += a_byte(at.row, k) * b_byte(k, at.column);
      const uint32_t* got = &out[static_cast<size_t>(lane * 12 + i)];
      CHECK(as_float(got[0]) == want);
      CHECK(as_float(got[4]) == want);
      CHECK(static_cast<int32_t>(got[8]) == want_bytes);
    }
}
