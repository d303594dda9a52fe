// The shapes of Qwen3-30B-A3B - 2048 wide, 32 query and 4 KV heads of 128, 8 of 128 experts of 768,
// 151936 tokens - against the CPU backend. Every other whole model of the tests is tiny: what needs
// real sizes to go wrong (all lanes of a line busy, many blocks, large offsets) shows here. One
// layer and a few tokens in the emulator; on a card two layers, every mix that is measured there,
// and prompts long enough for tensor cores and the library.
//
// Both backends round activations to codes, which moves logits by some 2 to 4 % of their spread
// (cuda_types_test.cpp); where two experts are nearly equal, one of them may take the other, and
// that row is further off. So three of four rows must be close, and none unlike: random logits
// would be 141 % off.
#include <doctest/doctest.h>

#include <algorithm>
#include <string>
#include <vector>

#include "engine/model/model_source.h"
#include "tests/engine/kernels/cuda/model/emulated_device.h"
#include "tests/engine/model/tiny_run.h"

using namespace swarm;
using namespace swarm::engine::model;
using engine::TokenId;

namespace {

constexpr double kClose = 0.06, kUnlike = 0.7;

struct Case {
  std::string mix;
  KvType k = KvType::f16, v = KvType::f16;
  std::vector<int32_t> chunks;         // rows of each step; the last one's logits are compared
};

TransformerOptions options_of(const Case& c) {
  return {.k_type = c.k, .v_type = c.v, .page_tokens = 16, .page_count = 32,
          .batch_tokens_max = 256, .logit_rows_max = 1, .context = 512};
}

// The logits after each step.
std::vector<std::vector<float>> run(const Case& c, const std::string& source,
                                    std::unique_ptr<engine::kernels::Kernels> backend) {
  const auto file = open_model(source);
  REQUIRE(file.has_value());
  const TransformerOptions options = options_of(c);
  auto model = Transformer::open(*file, options, std::move(backend));
  REQUIRE_MESSAGE(model.has_value(), (model ? "" : model.error().to_text()));
  const auto pages = test::scattered_pages(options, 0, 1);
  const auto tokens = test::mixed_tokens(512, (*model)->config().vocab);
  std::vector<std::vector<float>> rows;
  int32_t at = 0;
  for (const int32_t count : c.chunks) {
    const SequenceChunk chunk{.tokens = std::span(tokens).subspan(size_t(at), size_t(count)),
                              .position = at, .pages = pages};
    REQUIRE((*model)->forward({&chunk, 1}) == 1);
    const auto row = (*model)->logits(0);
    rows.emplace_back(row.begin(), row.end());
    at += count;
  }
  return rows;
}

void check(const Case& c, int32_t layers) {
  const std::string source = "synth:qwen3-30b-a3b:" + c.mix + ":" + std::to_string(layers);
  CAPTURE(source);
  const auto want = run(c, source, nullptr), got = run(c, source, test::open_emulated());
  size_t close = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    const double off = test::relative_rms(got[i], want[i]);
    CAPTURE(i);
    CAPTURE(off);
    CHECK(off < kUnlike);
    close += off < kClose;
  }
  CHECK(4 * close >= 3 * want.size());
}

}  // namespace

TEST_CASE("cuda shapes: the layers of Qwen3-30B-A3B give the logits of the CPU backend" *
          doctest::skip(simt::kInstrumented)) {
  const bool card = test::make_emulated_device()->info().kind == engine::device::DeviceKind::cuda;
  // 9 tokens choose 72 experts: products on tensor cores.
  if (!card || simt::orders_at_most() == 1)
    return check({.mix = "Q4_K_M", .chunks = {9, 1}}, 1);
  const std::vector<int32_t> chunks{1, 40, 1, 140, 2, 200, 1, 1};
  for (const char* mix : {"Q4_K_M", "IQ2_S_IQ3_S", "Q8_0", "BF16", "MXFP4_MOE", "FP8"})
    check({.mix = mix, .chunks = chunks}, 2);
  check({.mix = "Q4_K_M", .k = KvType::q8_0, .v = KvType::q4_0, .chunks = chunks}, 2);
}
