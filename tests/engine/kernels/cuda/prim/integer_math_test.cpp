// Integer instructions and arithmetic against 64-bit integers and double.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "engine/kernels/cuda/prim/integer.h"
#include "tests/engine/kernels/cuda/prim/prim_run.h"

using namespace swarm;
using test::as_float;

namespace {

uint32_t byte(uint32_t word, uint32_t i) { return (word >> (8 * i)) & 0xff; }

int64_t signed_value(uint32_t b) { return b < 128 ? b : static_cast<int64_t>(b) - 256; }

// Words that reach the corners more often than uniform ones.
std::vector<uint32_t> corner_words(Rng& rng, size_t count) {
  static constexpr uint32_t kCorners[] = {0, 1, 0x80808080, 0x7f7f7f7f, 0xffffffff, 0x80000000,
                                          0x7fffffff, 0x01010101, 0x00010203, 0xfedcba98};
  std::vector<uint32_t> words;
  for (size_t i = 0; i < count; ++i)
    words.push_back(rng.below(2) == 0 ? kCorners[rng.below(10)]
                                      : static_cast<uint32_t>(rng.below(uint64_t{1} << 32)));
  return words;
}

bool close(float got, double want, double relative) {
  if (std::abs(want) > 3.4e38) return std::isinf(got) && (got > 0) == (want > 0);
  return std::abs(got - want) <= relative * std::abs(want) + 0x1p-126;
}

}  // namespace

TEST_CASE("prim: integer instructions agree with arithmetic on bytes and bits") {
  Rng rng(41);
  constexpr int kBlocks = 8, kThreads = 128;
  const auto in = corner_words(rng, kBlocks * kThreads * 3);
  const auto out = test::run_emulated("integer", in, kBlocks, kThreads);
  for (size_t t = 0; t < kBlocks * kThreads; ++t) {
    const uint32_t a = in[t * 3], b = in[t * 3 + 1], c = in[t * 3 + 2];
    const uint32_t* got = &out[t * 12];
    CAPTURE(a);
    CAPTURE(b);
    CAPTURE(c);
    int64_t dot = static_cast<int32_t>(c), mixed = dot;
    uint32_t permuted = 0, less = 0, more = 0, differing = 0, half = 0;
    for (uint32_t i = 0; i < 4; ++i) {
      dot += signed_value(byte(a, i)) * signed_value(byte(b, i));
      mixed += static_cast<int64_t>(byte(a, i)) * signed_value(byte(b, i));
      const uint32_t choice = (c >> (4 * i)) & 15;
      const uint32_t picked = choice % 8 < 4 ? byte(a, choice % 8) : byte(b, choice % 8 - 4);
      permuted |= (choice < 8 ? picked : picked >= 128 ? 255u : 0u) << (8 * i);
      less |= ((byte(a, i) + 256 - byte(b, i)) % 256) << (8 * i);
      more |= ((byte(a, i) + byte(b, i)) % 256) << (8 * i);
      differing |= (byte(a, i) == byte(b, i) ? 0u : 255u) << (8 * i);
      half |= (i % 2 == 0 || byte(a, i) == byte(b, i) ? 0u : 255u) << (8 * i);
    }
    CHECK(got[0] == static_cast<uint32_t>(dot));
    CHECK(got[1] == static_cast<uint32_t>(mixed));
    CHECK(got[2] == permuted);
    CHECK(got[3] == less);
    CHECK(got[4] == more);
    CHECK(got[5] == differing);
    CHECK(got[6] == half);
    uint32_t ones = 0;
    for (int i = 0; i < 32; ++i) ones += (a >> i) & 1;
    CHECK(got[7] == ones);
    int zeros = 0, lowest = -1;
    for (int i = 31; i >= 0 && ((a >> (c & 31)) >> i & 1) == 0; --i) ++zeros;
    for (int i = 31; i >= 0; --i)
      if (((a << (c & 31)) >> i & 1) != 0) lowest = i;
    CHECK(static_cast<int>(got[8]) == zeros);
    CHECK(static_cast<int>(got[9]) == lowest);
    const uint32_t shift = c % 32;
    CHECK(got[10] == (shift == 0 ? a : a >> shift | b << (32 - shift)));
    CHECK(got[11] == 31);
  }
}

TEST_CASE("prim: exact arithmetic is correctly rounded") {
  Rng rng(42);
  const auto in = test::random_inputs(rng, test::emulated_case("math_exact"), 8 * 128);
  const auto out = test::run_emulated("math_exact", in, 8, 128);
  for (size_t t = 0; t < 8 * 128; ++t) {
    const double a = as_float(in[t * 3]), b = as_float(in[t * 3 + 1]), c = as_float(in[t * 3 + 2]);
    const uint32_t* got = &out[t * 11];
    // Sums of a double product of two f32 and an f32: the double rounding is harmless but for ties.
    CHECK(std::abs(as_float(got[0]) - (a * b + c)) <= 0x1p-24 * std::abs(a * b + c) * 1.0001);
    CHECK(as_float(got[1]) == static_cast<float>(a * b));
    CHECK(as_float(got[2]) == static_cast<float>(a + b));
    CHECK(as_float(got[3]) == static_cast<float>(a / b));
    CHECK(as_float(got[4]) == static_cast<float>(std::sqrt(c)));
    CHECK(as_float(got[5]) == static_cast<float>(a < 0 ? -a : a));
    const double rounded = std::nearbyint(a * 16);
    CHECK(as_float(got[6]) == rounded);
    CHECK(static_cast<int32_t>(got[7]) == static_cast<int32_t>(rounded));
    const double large = static_cast<float>(a * 1e9f);
    CHECK(static_cast<int32_t>(got[8]) ==
          static_cast<int32_t>(std::clamp(large, -2147483648.0, 2147483647.0)));
    CHECK(as_float(got[9]) == static_cast<float>(std::max(a, b)));
    CHECK(as_float(got[10]) == static_cast<float>(std::min(a, b)));
  }
}

TEST_CASE("prim: fast and library functions keep the error they state") {
  Rng rng(43);
  const auto in = test::random_inputs(rng, test::emulated_case("math_fast"), 8 * 128);
  const auto fast = test::run_emulated("math_fast", in, 8, 128);
  const auto library = test::run_emulated("math_library", in, 8, 128);
  for (size_t t = 0; t < 8 * 128; ++t) {
    const double a = as_float(in[t * 2]), b = as_float(in[t * 2 + 1]);
    CAPTURE(a);
    CAPTURE(b);
    const auto f = [&](size_t i) { return as_float(fast[t * 4 + i]); };
    const auto l = [&](size_t i) { return as_float(library[t * 6 + i]); };
    CHECK(close(f(0), 1 / std::sqrt(b), 0x1p-22));
    CHECK(close(f(1), std::exp2(a), 0x1p-22));
    CHECK(close(f(2), std::exp(a), 0x1p-22 * (1 + std::abs(a))));
    CHECK(close(f(3), 1 / a, 0x1p-23));
    CHECK(close(l(0), std::exp(a), 0x1p-22));
    CHECK(std::abs(l(1) - std::log(b)) <= 0x1p-22 * std::abs(std::log(b)));
    CHECK(std::abs(l(2) - std::sin(a)) <= 0x1p-22 * std::abs(std::sin(a)));
    CHECK(std::abs(l(3) - std::cos(a)) <= 0x1p-22 * std::abs(std::cos(a)));
    CHECK(close(l(4), std::pow(b, a), 0x1p-22));
    CHECK(std::abs(l(5) - std::tanh(a)) <= 0x1p-22 * std::abs(std::tanh(a)));
  }
}

TEST_CASE("prim: ceil_div and round_up cover what is left over") {
  for (int a = 0; a < 100; ++a)
    for (int b = 1; b < 20; ++b) {
      CHECK(prim::ceil_div(a, b) * b >= a);
      CHECK((prim::ceil_div(a, b) - 1) * b < a);
      CHECK(prim::round_up(a, b) == prim::ceil_div(a, b) * b);
    }
}
