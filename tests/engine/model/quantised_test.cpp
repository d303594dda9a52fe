// Quantised models through the integer kernels against the same weights through the scalar backend,
// which rounds nothing. The only difference is int8 activations: a step of max/127 per block, so
// each product of a row carries relative noise of about 1/127/sqrt(12) * max/rms, that is 0.5 to 1
// %. A few products per layer add in squares: with the two to four layers here, logits (standard
// deviation about 3) are expected to move by 2 to 4 % of that deviation (1.9 to 3.0 % when
// written). 5 % is the bound, with the same best token in at least 8 of 10 positions: the best two
// of 288 random logits often lie closer than that. Dense models: a routing choice that flips on a
// near tie would say nothing about the kernels.
#include <doctest/doctest.h>

#include <algorithm>
#include <set>
#include <string>
#include <vector>

#include "engine/kernels/kernels.h"
#include "engine/model/model_source.h"
#include "tests/engine/model/tiny_run.h"

using namespace swarm;
using namespace swarm::engine::model;

namespace {

struct Distance {
  double rms = 0;          // of the difference, relative to the standard deviation of the logits
  int32_t same_best = 0;
};

Distance distance(const std::vector<float>& got, const std::vector<float>& want, int32_t vocab) {
  Distance d;
  d.rms = test::relative_rms(got, want);
  for (size_t row = 0; row < want.size(); row += size_t(vocab)) {
    const auto best = [&](const std::vector<float>& v) {
      const auto begin = v.begin() + ptrdiff_t(row);
      return std::max_element(begin, begin + vocab) - begin;
    };
    d.same_best += best(got) == best(want);
  }
  return d;
}

}  // namespace

TEST_CASE("quantised: integer kernels stay close to exact activations on every type") {
  const std::set<std::string> decoded = {"BF16", "Q4_1", "Q5_0", "Q5_1", "Q2_K", "Q3_K", "IQ2_XXS",
                                         "IQ2_XS", "IQ2_S", "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS",
                                         "MXFP4", "FP8"};
  std::vector<std::string> types = {"Q8_0", "Q4_0", "Q4_K", "Q5_K", "Q6_K", "IQ2_S_IQ3_S"};
  types.insert(types.end(), decoded.begin(), decoded.end());
  for (const std::string& type : types) {
    // What is decoded must be exact: one layer and a few tokens show it.
    const bool exact = decoded.contains(type);
    // linear_test.cpp has every type.
    if (test::kInstrumented && exact && type != "IQ3_S") continue;
    const int32_t count = exact ? 6 : test::kInstrumented ? 20 : 40;
    const bool short_model = exact || test::kInstrumented;
    auto file = engine::model::open_model("synth:qwen3-tiny:" + type + (short_model ? ":1" : ""));
    REQUIRE(file.has_value());
    TransformerOptions options{.k_type = KvType::f32, .v_type = KvType::f32, .page_tokens = 16,
                               .page_count = 4, .batch_tokens_max = 64, .threads = 2,
                               .isa = "reference"};
    const auto reference = test::open_model(*file, options);
    const int32_t vocab = reference->config().vocab;
    const auto tokens = test::mixed_tokens(count, vocab);
    const auto want = test::run_alone(*reference, options, tokens, count);
    for (const std::string_view isa : engine::kernels::available_isas()) {
      options.isa = isa;
      const auto model = test::open_model(*file, options);
      const Distance d = distance(test::run_alone(*model, options, tokens, count), want, vocab);
      CAPTURE(type);
      CAPTURE(isa);
      CAPTURE(d.rms);
      CHECK(d.rms < 0.05);
      CHECK(d.same_best >= count * 8 / 10);
      // Types without integer kernels see exact activations.
      if (exact) CHECK(d.rms < 1e-5);
    }
  }
}

TEST_CASE("quantised: bits do not depend on chunk size") {
  auto file = engine::model::open_model("synth:qwen3moe-tiny:Q4_K_M");
  REQUIRE(file.has_value());
  for (const std::string_view isa : engine::kernels::available_isas()) {
    if (isa == "reference") continue;      // has no tiles
    const TransformerOptions options{.page_tokens = 3, .page_count = 20, .batch_tokens_max = 64,
                                     .threads = 2, .isa = std::string(isa)};
    const auto model = test::open_model(*file, options);
    const auto tokens = test::mixed_tokens(29, model->config().vocab);
    const auto want = test::run_alone(*model, options, tokens, 29);
    for (int32_t chunk = 1; chunk < 29; ++chunk) {
      CAPTURE(isa);
      CAPTURE(chunk);
      REQUIRE(test::run_alone(*model, options, tokens, chunk) == want);
    }
  }
}
