// Whole tiny models through the CUDA kernels on the emulator, with every pair of KV types and every
// weight type. KV: the logits of Hugging Face with K and V sent through the gguf package's
// quantisers. On tensor cores K, V, queries and weights are rounded to f16 (2^-11 each), as with
// f16 K and V: the same bound, 2e-3. Models of one layer: in a second one K and V come out a little
// different, and some of them land on other codes than the oracle's.
// Weights: the scalar backend, which rounds nothing; the device's int8 activations move logits by
// 2 to 4 % of their spread, as on the CPU (tests/engine/model/quantised_test.cpp).
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "engine/model/model_source.h"
#include "tests/engine/kernels/cuda/kv_pairs.h"
#include "tests/engine/kernels/cuda/model/emulated_device.h"
#include "tests/engine/model/tiny_run.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::engine::model;
using engine::formats::GgufFile;
using engine::kernels::kv_type_by_name;

namespace {

constexpr const char* kTypes[] = {
    "F16",  "BF16", "FP8",     "Q4_0",   "Q4_1",  "Q5_0",    "Q5_1",  "Q8_0",
    "Q2_K", "Q3_K", "Q4_K",    "Q5_K",   "Q6_K",  "IQ2_XXS", "IQ2_XS", "IQ2_S",
    "IQ3_XXS", "IQ3_S", "IQ4_NL", "IQ4_XS", "MXFP4", "IQ2_S_IQ3_S", "Q4_K_M", "Q5_K_M"};

std::vector<float> run(const std::shared_ptr<const GgufFile>& file,
                       const TransformerOptions& options,
                       const std::vector<engine::TokenId>& tokens, int32_t chunk) {
  auto opened =
      Transformer::open(file, options, test::open_emulated({}, {.deterministic = false}));
  SWARM_CHECK(opened.has_value(), opened.has_error() ? opened.error().to_text() : "");
  return test::run_alone(**opened, options, tokens, chunk);
}

}  // namespace

TEST_CASE("cuda model: every pair of KV types gives the logits of the independent implementation") {
  const auto file = GgufFile::open(test::golden("model/kv_logits.gguf"));
  REQUIRE(file.has_value());
  const auto pairs = (*file)->array("pairs");
  REQUIRE(pairs.has_value());
  for (const char* name : {"moe-hd128", "dense-hd64"}) {
    const test::GoldenModel golden = test::load_golden_model(name);
    for (size_t i = 0; i < pairs->size(); i += 2) {
      const auto& k = std::get<std::string>((*pairs)[i]);
      const auto& v = std::get<std::string>((*pairs)[i + 1]);
      const KvType k_type = kv_type_by_name(k).value(), v_type = kv_type_by_name(v).value();
      if (!test::of_this_build(k_type, v_type)) continue;
      const auto* view = (*file)->find_tensor(golden.name + "." + k + "." + v);
      REQUIRE(view);
      std::vector<float> want(view->elements());
      REQUIRE(engine::formats::dequantize(view->type, view->data, want).has_value());
      const bool whole = i % 4 == 0;       // one chunk and long pages, or small ones of both
      const int32_t page_tokens = whole ? 16 : 3, chunk = whole ? 40 : 7;
      const TransformerOptions options{
          .k_type = k_type, .v_type = v_type, .page_tokens = page_tokens,
          .page_count = 200 / page_tokens + 1, .batch_tokens_max = 64};
      const auto logits = run(golden.file, options, golden.tokens, chunk);
      CAPTURE(golden.name);
      CAPTURE(k);
      CAPTURE(v);
      CAPTURE(chunk);
      REQUIRE(logits.size() >= want.size());
      const test::Bound bound{.abs = 2e-3};
      const auto bad = test::compare(std::span(logits).last(want.size()), want, bound);
      if (bad) FAIL_CHECK(*bad);
      // The bound sees the types: what f32 K and V give does not pass it.
      CHECK(test::compare(std::span(golden.logits).last(want.size()), want, bound));
    }
  }
}

TEST_CASE("cuda model: every weight type stays close to exact activations") {
  for (const std::string type : kTypes) {
    // Sanitizers see every type's kernels in tests/engine/kernels/cuda/matmul; here a mix.
    if (simt::kInstrumented && type != "IQ2_S_IQ3_S") continue;
    auto file = engine::model::open_model("synth:qwen3-tiny:" + type + ":1");
    REQUIRE(file.has_value());
    TransformerOptions options{.k_type = KvType::f32, .v_type = KvType::f32, .page_tokens = 16,
                               .page_count = 4, .batch_tokens_max = 64, .threads = 2,
                               .isa = "reference"};
    const auto reference = test::open_model(*file, options);
    const auto tokens = test::mixed_tokens(6, reference->config().vocab);
    const auto want = test::run_alone(*reference, options, tokens, 6);
    for (const int32_t chunk : {1, 6}) {     // gemv, and tensor cores where the type has them
      const double rms = test::relative_rms(run(*file, options, tokens, chunk), want);
      CAPTURE(type);
      CAPTURE(chunk);
      CAPTURE(rms);
      CHECK(rms < 0.05);
    }
  }
}
