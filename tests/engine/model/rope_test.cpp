// Frequencies against the check values of reference/engine.md section 13, which are those of the
// published formulas for the models at hand.
#include "engine/model/rope.h"

#include <doctest/doctest.h>

#include <cmath>
#include <vector>

using namespace swarm::engine::model;

namespace {

ModelConfig qwen(float theta, const Yarn& yarn) {
  ModelConfig config;
  config.head_dim = 128;
  config.rope_theta = theta;
  config.yarn = yarn;
  return config;
}

// Nine figures are given.
bool near(double got, double want) { return std::abs(got - want) <= 1e-8 * want; }

double plain(double theta, int32_t pair) { return std::pow(theta, -pair / 64.0); }

}  // namespace

TEST_CASE("rope: plain frequencies fall from one by the same ratio") {
  const Rope rope = make_rope(qwen(1e6f, {}));
  REQUIRE(rope.inv_freq.size() == 64);
  CHECK(rope.factor == 1);
  for (int32_t j = 0; j < 64; ++j) CHECK(near(rope.inv_freq[size_t(j)], plain(1e6, j)));
}

TEST_CASE("rope: yarn by 4 over 32768 tokens, as published") {
  const Rope rope = make_rope(qwen(1e6f, {.factor = 4, .original_context = 32768}));
  CHECK(std::abs(rope.factor - 1.138629) < 5e-7);
  CHECK(near(rope.inv_freq[20], 0.0133352143));
  CHECK(near(rope.inv_freq[30], 1.06436098e-3));
  CHECK(near(rope.inv_freq[40], 4.4456985e-5));
  CHECK(near(rope.inv_freq[63], 3.1023444e-7));
  // low 23, high 40: what lies outside is kept, or divided by the factor.
  for (size_t j = 0; j <= 23; ++j) CHECK(near(rope.inv_freq[j], plain(1e6, int32_t(j))));
  for (size_t j = 40; j < 64; ++j) CHECK(near(rope.inv_freq[j], plain(1e6, int32_t(j)) / 4));
  CHECK_FALSE(near(rope.inv_freq[24], plain(1e6, 24)));
  CHECK_FALSE(near(rope.inv_freq[39], plain(1e6, 39) / 4));
}

TEST_CASE("rope: yarn by 4 over 262144 tokens, as published") {
  const Rope rope = make_rope(qwen(1e7f, {.factor = 4, .original_context = 262144}));
  CHECK(near(rope.inv_freq[28], plain(1e7, 28)));
  CHECK(near(rope.inv_freq[30], 4.70969203e-4));
  CHECK(near(rope.inv_freq[40], 1.68678601e-5));
  CHECK(near(rope.inv_freq[43], plain(1e7, 43) / 4));
  CHECK(near(rope.inv_freq[63], 3.21599236e-8));
}

TEST_CASE("rope: a yarn factor of one changes nothing, attention factors multiply") {
  const Rope same = make_rope(qwen(1e6f, {.factor = 1, .original_context = 32768}));
  CHECK(same.factor == 1);
  for (int32_t j = 0; j < 64; ++j) CHECK(near(same.inv_freq[size_t(j)], plain(1e6, j)));
  const Rope louder = make_rope(qwen(1e6f, {.factor = 4, .original_context = 32768,
                                            .attention_factor = 1.5f}));
  CHECK(near(louder.factor, 1.5 * (0.1 * std::log(4.0) + 1)));
}

TEST_CASE("rope: a ramp without width, or one outside of the head, divides nothing by zero") {
  // Context 1: no pair turns; both bounds are 0 and every pair is interpolated but the first.
  const Rope tiny = make_rope(qwen(1e6f, {.factor = 2, .original_context = 1}));
  CHECK(near(tiny.inv_freq[0], 1));
  for (size_t j = 1; j < 64; ++j) CHECK(near(tiny.inv_freq[j], plain(1e6, int32_t(j)) / 2));
  // A base this small: every pair turns often.
  const Rope fast = make_rope(qwen(2.0f, {.factor = 2, .original_context = 1 << 20}));
  for (size_t j = 0; j < 64; ++j) CHECK(near(fast.inv_freq[j], plain(2, int32_t(j))));
}
