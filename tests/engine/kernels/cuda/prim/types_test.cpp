// Storage types against their definitions: every bit pattern, and rounding against a search for
// the nearest value. The oracle knows the formats as (sign, exponent, fraction) and nothing of the
// code under test.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/kernels/cuda/prim/types.h"
#include "tests/engine/kernels/cuda/prim/prim_run.h"

using namespace swarm;
using namespace swarm::prim;
using test::as_float;

namespace {

struct Format {
  const char* name;
  int bits, fraction_bits, bias;
  bool has_infinity;                   // the top exponent means infinity and NaN
  bool saturates;
};
constexpr Format kF16{"f16", 16, 10, 15, true, false};
constexpr Format kBf16{"bf16", 16, 7, 127, true, false};
constexpr Format kE4m3{"e4m3", 8, 3, 7, false, true};
constexpr Format kE5m2{"e5m2", 8, 2, 15, true, true};

double value_of(const Format& format, uint32_t bits) {
  const uint32_t sign = bits >> (format.bits - 1);
  const int exponent_bits = format.bits - 1 - format.fraction_bits;
  const auto exponent =
      static_cast<int>((bits >> format.fraction_bits) & ((1u << exponent_bits) - 1));
  const uint32_t fraction = bits & ((1u << format.fraction_bits) - 1);
  const int top = (1 << exponent_bits) - 1;
  double magnitude;
  if (format.has_infinity && exponent == top)
    magnitude = fraction == 0 ? INFINITY : NAN;
  else if (!format.has_infinity && exponent == top && fraction + 1 == 1u << format.fraction_bits)
    magnitude = NAN;
  else if (exponent == 0)
    magnitude = std::ldexp(fraction, 1 - format.bias - format.fraction_bits);
  else
    magnitude = std::ldexp(fraction + (1u << format.fraction_bits),
                           exponent - format.bias - format.fraction_bits);
  return sign != 0 ? -magnitude : magnitude;
}

// Nonnegative finite values, ascending: the index is the bit pattern.
std::vector<double> finite_values(const Format& format) {
  std::vector<double> values;
  for (uint32_t bits = 0; bits < 1u << (format.bits - 1); ++bits) {
    const double value = value_of(format, bits);
    if (!std::isfinite(value)) break;
    REQUIRE((values.empty() || value > values.back()));
    values.push_back(value);
  }
  return values;
}

// Nearest, ties to the even pattern.
uint32_t nearest(const Format& format, const std::vector<double>& values, double value) {
  const uint32_t sign = std::signbit(value) ? 1u << (format.bits - 1) : 0;
  const double magnitude = std::abs(value);
  const auto last = static_cast<uint32_t>(values.size() - 1);
  const double step = values[last] - values[last - 1];
  if (magnitude >= values[last] + step / 2)
    return sign | (format.saturates ? last : last + 1);
  const auto above = static_cast<uint32_t>(
      std::lower_bound(values.begin(), values.end(), magnitude) - values.begin());
  if (above > last) return sign | last;
  if (above == 0) return sign;
  const double up = values[above] - magnitude, down = magnitude - values[above - 1];
  if (up != down) return sign | (up < down ? above : above - 1);
  return sign | (above % 2 == 0 ? above : above - 1);
}

template <class T, class To>
void check_format(const Format& format, To to) {
  CAPTURE(format.name);
  const std::vector<double> values = finite_values(format);
  int wrong = 0;
  const auto expect = [&](bool fine) { wrong += fine ? 0 : 1; };
  for (uint32_t bits = 0; bits < 1u << format.bits; ++bits) {
    const double want = value_of(format, bits);
    const float got = to_float(T{static_cast<decltype(T::bits)>(bits)});
    expect(std::isnan(want) ? std::isnan(got)
                            : static_cast<double>(got) == want &&
                                  std::signbit(got) == std::signbit(want));
    if (!std::isnan(want) && (std::isfinite(want) || !format.saturates))
      expect(to(static_cast<float>(want)).bits == bits);
  }
  CHECK(wrong == 0);
  // Every upper half of an f32 with the lower halves around a tie.
  for (uint32_t upper = 0; upper < 0x10000; ++upper)
    for (const uint32_t lower : {0u, 1u, 0x0fffu, 0x1000u, 0x1001u, 0x7fffu, 0x8000u, 0x8001u,
                                 0xf000u, 0xffffu}) {
      const float value = as_float(upper << 16 | lower);
      const uint32_t got = to(value).bits;
      expect(std::isnan(value) ? std::isnan(value_of(format, got))
                               : got == nearest(format, values, value));
    }
  CHECK(wrong == 0);
  // Between every two neighbours: the tie and its neighbours among the f32.
  for (size_t i = 0; i + 1 < values.size(); ++i) {
    const auto tie = static_cast<float>((values[i] + values[i + 1]) / 2);
    for (const float value : {std::nextafter(tie, 0.0f), tie, std::nextafter(tie, INFINITY)}) {
      expect(to(value).bits == nearest(format, values, value));
      expect(to(-value).bits == nearest(format, values, -value));
    }
  }
  CHECK(wrong == 0);
}

}  // namespace

TEST_CASE("prim: storage types round to nearest even over their whole range") {
  check_format<f16>(kF16, [](float v) { return to_f16(v); });
  check_format<bf16>(kBf16, [](float v) { return to_bf16(v); });
  check_format<e4m3>(kE4m3, [](float v) { return to_e4m3(v); });
  check_format<e5m2>(kE5m2, [](float v) { return to_e5m2(v); });
}

TEST_CASE("prim: the kernels that convert give what the plain functions give") {
  Rng rng(21);
  const auto in = test::random_inputs(rng, test::emulated_case("narrow"), 64);
  const auto narrow = test::run_emulated("narrow", in, 1, 64);
  const auto wide = test::run_emulated("widen", in, 1, 64);
  for (size_t t = 0; t < 64; ++t) {
    const float value = as_float(in[t]);
    CHECK(narrow[t * 6] == to_f16(value).bits);
    CHECK(narrow[t * 6 + 1] == to_bf16(value).bits);
    CHECK(narrow[t * 6 + 2] == to_e4m3(value).bits);
    CHECK(narrow[t * 6 + 3] == to_e5m2(value).bits);
    CHECK(narrow[t * 6 + 4] == (to_f16(value).bits | 0x3c00u << 16));
    CHECK(narrow[t * 6 + 5] == (to_bf16(value).bits | 0x3f80u << 16));
    const double half = value_of(kF16, in[t] & 0xffff);
    CHECK(wide[t * 4] == (std::isnan(half) ? 0x7fc00000u
                                           : test::as_word(static_cast<float>(half))));
  }
}
