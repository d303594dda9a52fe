// Whole tiny models through the CUDA kernels on the emulator: logits against the independent
// implementation (Hugging Face, tests/golden/model), and the invariance that kernels.h promises for
// `deterministic`: the bits of a token's logits do not depend on chunks, pages or thread order.
#include <doctest/doctest.h>

#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "tests/engine/kernels/cuda/model/emulated_device.h"
#include "tests/engine/model/tiny_run.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::engine::model;
using engine::TokenId;
using test::GoldenModel;

namespace {

TransformerOptions tiny_options(KvType kv, int32_t page_tokens = 16) {
  return {.k_type = kv, .v_type = kv, .page_tokens = page_tokens,
          .page_count = 200 / page_tokens + 1, .batch_tokens_max = 64};
}

std::vector<float> run(const GoldenModel& golden, const TransformerOptions& options, int32_t chunk,
                       const simt::EmulatorOptions& order = {}, bool deterministic = false) {
  auto opened = Transformer::open(golden.file, options,
                                  test::open_emulated(order, {.deterministic = deterministic}));
  SWARM_CHECK(opened.has_value(), opened.has_error() ? opened.error().to_text() : "");
  return test::run_alone(**opened, options, golden.tokens, chunk);
}

bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0;
}

}  // namespace

TEST_CASE("cuda model: logits equal the independent implementation on every tiny model") {
  for (const char* name : test::golden_model_names()) {
    const GoldenModel golden = test::load_golden_model(name);
    CAPTURE(name);
    // Weights are f32 and multiplied as such; the bounds are those of the CPU's test.
    for (const auto& [kv, bound] : {std::pair{KvType::f32, 1e-5}, {KvType::f16, 2e-3}}) {
      if (simt::kInstrumented && kv == KvType::f32) continue;    // cuda_greedy_test.cpp has it
      const auto logits = run(golden, tiny_options(kv), 40);
      const auto bad = test::compare(logits, golden.logits, {.abs = bound});
      if (bad) FAIL_CHECK("kv " << int(kv) << ": " << *bad);
    }
  }
}

TEST_CASE("cuda model: YaRN equals the independent implementation, below and above the context") {
  for (const char* name : {"moe-hd128", "dense-hd64"}) {
    const GoldenModel golden = test::load_yarn_model(name);
    const auto count = static_cast<int32_t>(golden.tokens.size());
    if (simt::kInstrumented && count > 100) continue;
    CAPTURE(name);
    for (const auto& [kv, bound] :
         {std::pair{KvType::f32, 1e-5}, {KvType::f16, 2e-3}}) {
      auto options = tiny_options(kv);
      options.page_count = count / options.page_tokens + 1;
      const auto bad = test::compare(run(golden, options, 64), golden.logits, {.abs = bound});
      if (bad) FAIL_CHECK("kv " << int(kv) << ": " << *bad);
    }
  }
}

TEST_CASE("cuda model: deterministic bits do not depend on chunks, pages or thread order") {
  constexpr bool kFew = simt::kInstrumented;
  const auto pages = kFew ? std::vector{3} : std::vector{1, 3, 16};
  const auto chunks = kFew ? std::vector{7} : std::vector{1, 7, 40};
  for (const char* name : {"moe-hd64-tied", "dense-hd64"}) {
    const GoldenModel golden = test::load_golden_model(name);
    const auto want = run(golden, tiny_options(KvType::f16), 40, {}, true);
    for (const int32_t page_tokens : pages) {
      for (const int32_t chunk : chunks) {
        CAPTURE(name);
        CAPTURE(page_tokens);
        CAPTURE(chunk);
        const simt::EmulatorOptions order{.order = simt::Order::random,
                                          .seed = static_cast<uint64_t>(chunk)};
        CHECK(same_bits(run(golden, tiny_options(KvType::f16, page_tokens), chunk, order, true),
                        want));
      }
    }
  }
}
