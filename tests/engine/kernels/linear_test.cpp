// Products of every weight type with f32 rows, each instruction set against arithmetic in double.
//
// Integer types quantise the row first, so two questions are asked:
//  exact:  is the result the product of the decoded weights with the row as quantised (engine.md
//          3.6)? Only f32 rounding is left: at most about 60 roundings of 2^-24 on any path.
//  close:  is it near the product with the unquantised row? Codes err by at most half a step, so
//          the error has deviation sigma^2 = sum over elements of w^2 step^2 / 12; 6 sigma.
// Rows times tokens are few here, so a 6 sigma event would be a 1e-6 accident; seeds are fixed.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "engine/kernels/kernels.h"
#include "tests/engine/kernels/matrices.h"

using namespace swarm;
using namespace swarm::engine::kernels;
using engine::formats::BlockType;
using engine::formats::block_types;
using engine::formats::TensorType;

namespace {

// Of the sum of magnitudes: 60 * 2^-24.
constexpr double kRounding = 3.6e-6;

// 0: rows stay f32.
int32_t activation_block(TensorType type) {
  switch (type) {
    case TensorType::q8_0:
    case TensorType::q4_0: return 32;
    case TensorType::q4_k:
    case TensorType::q5_k:
    case TensorType::q6_k: return 256;
    default: return 0;
  }
}

// The row as codes times scale: scale = max |x| / 127, code = nearest even.
std::vector<float> quantised(const std::vector<float>& x, int32_t block) {
  std::vector<float> out = x;
  if (block == 0) return out;
  for (size_t b = 0; b < x.size(); b += static_cast<size_t>(block)) {
    float top = 0;
    for (size_t i = b; i < b + size_t(block); ++i) top = std::max(top, std::abs(x[i]));
    const float scale = top / 127.0f;
    const float inverse = scale > 0 ? 1.0f / scale : 0.0f;
    for (size_t i = b; i < b + size_t(block); ++i) out[i] = std::nearbyintf(x[i] * inverse) * scale;
  }
  return out;
}

struct Dot {
  double value = 0, magnitude = 0, squares = 0;   // sum w x, sum |w x|, sum w^2
};
Dot dot(const float* w, const float* x, int32_t cols) {
  Dot d;
  for (int32_t c = 0; c < cols; ++c) {
    d.value += double{w[c]} * double{x[c]};
    d.magnitude += std::abs(double{w[c]} * double{x[c]});
    d.squares += double{w[c]} * double{w[c]};
  }
  return d;
}

std::vector<float> multiply(Kernels& kernels, const Weight& weight, const std::vector<float>& x,
                            int32_t tokens) {
  std::vector<float> y(static_cast<size_t>(tokens) * static_cast<size_t>(weight.rows), NAN);
  const LinearOutput out[] = {{weight, y.data()}};
  kernels.linear(out, x.data(), tokens);
  return y;
}

}  // namespace

TEST_CASE("kernels: every type multiplies like its decoded weights, in every instruction set") {
  for (const BlockType& type : block_types()) {
    if (!type.decodable) continue;
    Rng rng(mix_seed(7, static_cast<uint64_t>(type.type)));
    const auto cols = static_cast<int32_t>(type.block_elements < 256 ? 96 * 8 : 768);
    const int32_t rows = 37, tokens = 13;      // neither is a multiple of any tile
    if (cols % static_cast<int32_t>(type.block_elements) != 0) continue;
    const test::Matrix matrix = test::random_matrix(rng, type, rows, cols);
    const auto x = test::random_rows(rng, size_t(tokens) * size_t(cols));
    for (const std::string_view isa : available_isas()) {
      const bool integer = isa != "reference" && activation_block(type.type) > 0;
      const int32_t block = integer ? activation_block(type.type) : 0;
      auto kernels = open_kernels(isa, 2);
      REQUIRE(kernels.has_value());
      const auto y = multiply(**kernels, matrix.weight, x, tokens);
      for (int32_t t = 0; t < tokens; ++t) {
        const std::vector<float> row(x.begin() + t * cols, x.begin() + (t + 1) * cols);
        const std::vector<float> codes = quantised(row, block);
        for (int32_t r = 0; r < rows; ++r) {
          const float* w = matrix.decoded.data() + size_t(r) * size_t(cols);
          const Dot exact = dot(w, codes.data(), cols);
          const Dot ideal = dot(w, row.data(), cols);
          const double got = y[size_t(t * rows + r)];
          const double step = 1.0 / 127;       // |x| <= 1
          const double sigma = integer ? std::sqrt(ideal.squares / 12) * step : 0;
          CAPTURE(type.name);
          CAPTURE(isa);
          CAPTURE(t);
          CAPTURE(r);
          REQUIRE(std::abs(got - exact.value) <= kRounding * exact.magnitude);
          REQUIRE(std::abs(got - ideal.value) <= 6 * sigma + kRounding * ideal.magnitude);
        }
      }
    }
  }
}

TEST_CASE("kernels: the exact bound notices one wrong code") {
  // One weight of 768 changed by one step moves the sum by far more than the bound.
  Rng rng(3);
  const auto* type = engine::formats::find_block_type(TensorType::q8_0);
  test::Matrix matrix = test::random_matrix(rng, *type, 1, 768);
  const auto x = test::random_rows(rng, 768);
  auto kernels = open_kernels("auto", 1);
  REQUIRE(kernels.has_value());
  const float before = multiply(**kernels, matrix.weight, x, 1)[0];
  size_t at = 0;                                 // of the first block, where the row is largest
  for (size_t i = 1; i < 32; ++i) at = std::abs(x[i]) > std::abs(x[at]) ? i : at;
  matrix.bytes[2 + at] = std::byte(uint8_t(matrix.bytes[2 + at]) ^ 1);
  const float after = multiply(**kernels, matrix.weight, x, 1)[0];
  const Dot exact = dot(matrix.decoded.data(), x.data(), 768);
  CHECK(std::abs(double{before} - double{after}) > kRounding * exact.magnitude);
}

TEST_CASE("kernels: a row's bits do not depend on how many tokens or threads share the call") {
  for (const BlockType& type : block_types()) {
    if (!type.decodable) continue;
    Rng rng(mix_seed(11, static_cast<uint64_t>(type.type)));
    // Wider than one panel of the tiled path (2048 columns).
    const int32_t rows = 19, cols = activation_block(type.type) > 0 ? 2304 : 256, tokens = 23;
    const test::Matrix matrix = test::random_matrix(rng, type, rows, cols);
    const auto x = test::random_rows(rng, size_t(tokens) * size_t(cols));
    for (const std::string_view isa : available_isas()) {
      auto one = open_kernels(isa, 1);
      REQUIRE(one.has_value());
      const auto want = multiply(**one, matrix.weight, x, tokens);
      for (const int32_t threads : {1, 3}) {
        auto kernels = open_kernels(isa, threads);
        REQUIRE(kernels.has_value());
        for (int32_t count = 1; count <= tokens; ++count) {
          const auto got = multiply(**kernels, matrix.weight, x, count);
          CAPTURE(type.name);
          CAPTURE(isa);
          CAPTURE(count);
          REQUIRE(std::memcmp(got.data(), want.data(), got.size() * sizeof(float)) == 0);
        }
      }
    }
  }
}

TEST_CASE("kernels: an instruction set that does not exist is refused with the list") {
  const auto opened = open_kernels("altivec", 1);
  REQUIRE(opened.has_error());
  CHECK(opened.error().message.find("expected auto or one of ") == 5);
  CHECK(opened.error().message.find("reference") != std::string::npos);
  CHECK(opened.error().message.find("found \"altivec\"") != std::string::npos);
}
