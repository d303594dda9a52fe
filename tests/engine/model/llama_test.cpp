// Quantised mixtures of experts against llama.cpp on the same file (golden logits and how they were
// made: tests/golden/model/make_llama_golden.py). Both round activations to int8, in blocks of
// their own, and nothing else: quantised_test.cpp derives what that costs, 2 to 4 % of the
// deviation of the logits with four layers, 5 % as a bound. Of the scalar backend, which rounds
// nothing, to llama.cpp it is that once; of the integer kernels twice, independently at worst:
// sqrt(2) times. Where both round the same blocks (of 256 values, for Q5_K and Q6_K) only the F16
// of the golden file is left, 2e-4 of a value: ten times that is the bound. All experts work, so
// that no choice of them can flip on a near tie.
#include <doctest/doctest.h>

#include <cmath>
#include <string>
#include <vector>

#include "engine/formats/block_types.h"
#include "engine/kernels/kernels.h"
#include "engine/model/synth.h"
#include "tests/engine/model/tiny_run.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::engine::model;
using engine::TokenId;
using engine::formats::GgufFile;

namespace {

std::shared_ptr<const GgufFile> mixture(const std::string& type, uint32_t experts_used) {
  auto builder = build_synthetic({.preset = "qwen3moe-tiny", .type = type});
  REQUIRE(builder.has_value());
  builder->set("qwen3moe.expert_used_count", experts_used);
  auto file = builder->finish(type);
  REQUIRE(file.has_value());
  return *file;
}

std::vector<int32_t> integers(const GgufFile& file, const char* key) {
  std::vector<int32_t> out;
  const auto values = file.array(key);
  REQUIRE(values.has_value());
  for (const auto& value : *values) out.push_back(std::get<int32_t>(value));
  return out;
}

// Logits at some positions of the tokens, one after the other.
std::vector<float> logits_at(const std::shared_ptr<const GgufFile>& file, std::string_view isa,
                             const std::vector<TokenId>& tokens,
                             const std::vector<int32_t>& positions) {
  const TransformerOptions options{.k_type = KvType::f32, .v_type = KvType::f32,
                                   .page_count = 4, .batch_tokens_max = 64, .threads = 2,
                                   .isa = std::string(isa)};
  const auto model = test::open_model(file, options);
  const auto all = test::run_alone(*model, options, tokens, 24);
  const auto vocab = all.size() / tokens.size();
  std::vector<float> out;
  for (const int32_t position : positions) {
    const auto row = std::span(all).subspan(static_cast<size_t>(position) * vocab, vocab);
    out.insert(out.end(), row.begin(), row.end());
  }
  return out;
}

}  // namespace

TEST_CASE("llama.cpp: quantised experts give its logits, as far as int8 activations allow") {
  const auto golden = GgufFile::open(test::golden("model/llama_moe_logits.gguf"));
  REQUIRE(golden.has_value());
  const auto tokens = integers(**golden, "tokens");
  const auto positions = integers(**golden, "positions");
  const auto types = (*golden)->array("types");
  REQUIRE(types.has_value());
  REQUIRE(types->size() == 7);
  for (const auto& entry : *types) {
    const auto& type = std::get<std::string>(entry);
    CAPTURE(type);
    const auto* view = (*golden)->find_tensor(type);
    REQUIRE(view);
    std::vector<float> want(view->elements());
    REQUIRE(engine::formats::dequantize(view->type, view->data, want).has_value());
    const auto file = mixture(type, 6);
    for (const std::string_view isa : engine::kernels::available_isas()) {
      const auto got = logits_at(file, isa, tokens, positions);
      REQUIRE(got.size() == want.size());
      CAPTURE(isa);
      const double distance = test::relative_rms(got, want);
      CAPTURE(distance);
      CHECK(distance < 0.05 * (isa == "reference" ? 1 : std::sqrt(2.0)));
      const bool same_blocks = type == "Q5_K" || type == "Q6_K" || type == "Q5_K_M";
      if (same_blocks && isa != "reference") CHECK(distance < 2e-3);
    }
    // That experts are in it at all: two of six are another model.
    if (type == "Q4_K")
      CHECK(test::relative_rms(logits_at(mixture(type, 2), "reference", tokens, positions), want) >
            0.3);
  }
}
