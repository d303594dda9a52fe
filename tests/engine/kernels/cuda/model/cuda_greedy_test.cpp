// Greedy tokens of whole tiny models, mixture of experts and dense, through the CUDA kernels on the
// emulator against the scalar backend: each weight type, the mixes of real files, a type of its own
// for every matrix, each pair of KV types, and the sampling chain on the device against the
// definition in sample/sampler.h.
//
// Activations become int8 codes where weights are codes: an element errs by at most half of
// max|x| / 127, which is sigma = 0.5 % of a product's deviation for groups of 32 (max|x| about 2.2
// deviations, 1 / sqrt(12) of a step). Two or three products in a row and the head make 1 % of the
// deviation of the logits. A token must agree wherever the scalar backend's best two logits lie
// further apart than 6 sigma of their difference; both backends are fed the scalar one's tokens, so
// that one close call does not hide what follows. A run without decided steps fails.
// The bound holds for a continuous function of the activations, which a choice of some experts is
// not: two nearly equal routing logits, and another expert answers. The mixture of this test
// therefore asks all its experts, weighted; cuda_model_test.cpp has those that choose.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "engine/formats/block_types.h"
#include "engine/formats/gguf.h"
#include "engine/kernels/cuda/weights/place_weights.h"
#include "engine/model/model_source.h"
#include "engine/model/synth.h"
#include "engine/model/transformer.h"
#include "tests/engine/kernels/cuda/kv_pairs.h"
#include "tests/engine/kernels/cuda/model/emulated_device.h"
#include "tests/engine/model/tiny_run.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::engine::model;
using engine::SampleJob;
using engine::Sampled;
using engine::TokenId;
using engine::formats::GgufFile;

namespace {

constexpr int32_t kSteps = 8;
constexpr uint32_t kTinyExperts = 6;                 // of qwen3moe-tiny
constexpr double kCodesMargin = 6 * 0.01 * 1.4142;   // 6 sigma of the difference of two logits
constexpr double kExactMargin = 1e-3;                // f32 weights: 1e-5 and a KV code that flips

struct Step {
  TokenId token = -1;
  double margin = 0;                   // best logit minus the second, in deviations of the row
};

struct Pair {
  KvType k = KvType::f32;
  KvType v = KvType::f32;
};

TransformerOptions options_of(Pair kv) {
  return {.k_type = kv.k, .v_type = kv.v, .page_tokens = 4, .page_count = 16,
          .batch_tokens_max = 32, .context = 64, .isa = "reference"};
}

std::unique_ptr<Transformer> open(const std::shared_ptr<const GgufFile>& file, Pair kv,
                                  std::unique_ptr<engine::kernels::Kernels> backend) {
  auto opened = Transformer::open(file, options_of(kv), std::move(backend));
  SWARM_CHECK(opened.has_value(), opened.has_error() ? opened.error().to_text() : "");
  return std::move(*opened);
}

std::vector<TokenId> prompt_of(int32_t vocab) { return test::mixed_tokens(9, vocab); }

double deviation(std::span<const float> row) {
  double sum = 0, squares = 0;
  for (const float v : row) {
    sum += v;
    squares += double{v} * double{v};
  }
  const double mean = sum / double(row.size());
  return std::sqrt(squares / double(row.size()) - mean * mean);
}

// The greedy token of every step, chosen by the backend itself. follow: the tokens to go on with;
// empty = its own.
std::vector<Step> decode(Transformer& model, const std::vector<Step>& follow) {
  const int32_t vocab = model.config().vocab;
  std::vector<TokenId> tokens = prompt_of(vocab);
  std::vector<int32_t> pages(16);
  for (size_t i = 0; i < pages.size(); ++i) pages[i] = static_cast<int32_t>(15 - i);
  std::vector<Step> steps;
  size_t computed = 0;
  for (int32_t i = 0; i < kSteps; ++i) {
    const SequenceChunk chunk{.tokens = std::span(tokens).subspan(computed),
                              .position = static_cast<int32_t>(computed), .pages = pages};
    SWARM_CHECK(model.forward({&chunk, 1}) == 1, i);
    computed = tokens.size();
    const SampleJob job{.params = {.logprobs = 2}, .mask = {}, .seen = {}, .vocab = vocab};
    Sampled sampled;
    model.sample({&job, 1}, {&sampled, 1});
    REQUIRE(!sampled.invalid);
    REQUIRE(sampled.top.size() == 2);
    const double lead = double{sampled.top[0].logprob} - double{sampled.top[1].logprob};
    steps.push_back({.token = sampled.token, .margin = lead / deviation(model.logits(0))});
    tokens.push_back(follow.empty() ? sampled.token : follow[size_t(i)].token);
  }
  return steps;
}

// margin: in deviations of the logits. Returns how many steps were decided.
int32_t check_agreement(const std::vector<Step>& want, const std::vector<Step>& got,
                        double margin) {
  int32_t decided = 0;
  for (size_t i = 0; i < want.size(); ++i) {
    if (want[i].margin <= margin) continue;
    ++decided;
    CAPTURE(i);
    CAPTURE(want[i].margin);
    CHECK(got[i].token == want[i].token);
  }
  return decided;
}

// A model in which every expert answers every token.
std::shared_ptr<const GgufFile> small(const char* preset, std::string_view type,
                                      int32_t layers = 1) {
  auto builder = build_synthetic({.preset = preset, .type = std::string(type), .layers = layers});
  SWARM_CHECK(builder.has_value(), preset, builder.has_error() ? builder.error().to_text() : "");
  if (std::string_view(preset) == "qwen3moe-tiny")
    builder->set("qwen3moe.expert_used_count", kTinyExperts);
  auto file = builder->finish(preset);
  SWARM_CHECK(file.has_value(), preset, file.has_error() ? file.error().to_text() : "");
  return *file;
}

bool is_matrix(const engine::formats::TensorView& tensor) {
  return tensor.dims.size() > 1 && tensor.name.find("ffn_gate_inp") == std::string::npos;
}

// The matrices of an F32 model in other types: type_of(i) for the i-th.
std::shared_ptr<const GgufFile> retyped(
    const GgufFile& from, const std::function<engine::formats::TensorType(size_t)>& type_of) {
  engine::formats::GgufBuilder builder;
  for (const auto& [key, value] : from.metadata()) builder.set(key, value);
  size_t index = 0;
  for (const auto& tensor : from.tensors()) {
    std::vector<std::byte> bytes(tensor.data.begin(), tensor.data.end());
    auto type = tensor.type;
    if (is_matrix(tensor)) {
      type = type_of(index++);
      const auto* block = engine::formats::find_block_type(type);
      bytes.resize(tensor.elements() / block->block_elements * block->block_bytes);
      std::vector<float> values(tensor.elements());
      std::memcpy(values.data(), tensor.data.data(), tensor.data.size());
      const auto done = engine::formats::quantize(type, values, bytes);
      SWARM_CHECK(done.has_value(), tensor.name, done.has_error() ? done.error().message : "");
    }
    builder.add_tensor(tensor.name, tensor.dims, type, std::move(bytes));
  }
  auto file = builder.finish("retyped");
  SWARM_CHECK(file.has_value(), file.has_error() ? file.error().to_text() : "");
  return *file;
}

// Gate and up of every expert in one tensor, gate rows first.
std::shared_ptr<const GgufFile> merged(const GgufFile& from) {
  engine::formats::GgufBuilder builder;
  for (const auto& [key, value] : from.metadata()) builder.set(key, value);
  for (const auto& tensor : from.tensors()) {
    const size_t at = tensor.name.find("ffn_gate_exps");
    if (tensor.name.find("ffn_up_exps") != std::string::npos) continue;
    if (at == std::string::npos) {
      builder.add_tensor(tensor.name, tensor.dims, tensor.type,
                         {tensor.data.begin(), tensor.data.end()});
      continue;
    }
    const std::string layer = tensor.name.substr(0, at);
    const auto* up = from.find_tensor(layer + "ffn_up_exps.weight");
    SWARM_CHECK(up != nullptr && up->type == tensor.type, layer);
    const size_t expert = tensor.data.size() / tensor.dims[2];
    std::vector<std::byte> bytes;
    for (size_t e = 0; e < tensor.dims[2]; ++e)
      for (const auto* half : {&tensor, up})
        bytes.insert(bytes.end(), half->data.begin() + ptrdiff_t(e * expert),
                     half->data.begin() + ptrdiff_t((e + 1) * expert));
    builder.add_tensor(layer + "ffn_gate_up_exps.weight",
                       {tensor.dims[0], 2 * tensor.dims[1], tensor.dims[2]}, tensor.type,
                       std::move(bytes));
  }
  auto file = builder.finish("merged");
  SWARM_CHECK(file.has_value(), file.has_error() ? file.error().to_text() : "");
  return *file;
}

// The scalar backend's tokens wherever they are decided.
void check_codes(const std::shared_ptr<const GgufFile>& file) {
  const auto reference = open(file, {}, nullptr);
  const auto want = decode(*reference, {});
  const auto cuda = open(file, {}, test::open_emulated());
  CHECK(check_agreement(want, decode(*cuda, want), kCodesMargin) >= kSteps / 2);
}

std::shared_ptr<const GgufFile> synthetic(const std::string& source) {
  auto file = open_model(source);
  SWARM_CHECK(file.has_value(), source, file.has_error() ? file.error().to_text() : "");
  return *file;
}

}  // namespace

TEST_CASE("cuda model: every weight type gives the scalar backend's greedy tokens") {
  int32_t types = 0;
  for (const auto& type : engine::formats::block_types()) {
    if (!engine::kernels::cuda::weight_type(type.type) || !type.encodable) continue;
    ++types;
    if (simt::kInstrumented && type.name != "Q4_0") continue;    // see matmul/ for the others
    for (const char* preset : {"qwen3moe-tiny", "qwen3-tiny"}) {
      CAPTURE(type.name);
      CAPTURE(std::string(preset));
      check_codes(small(preset, type.name));
    }
  }
  CHECK(types >= 20);
}

// Two layers: the mixes give the first and the others different types.
TEST_CASE("cuda model: the mixes of real files give the scalar backend's greedy tokens") {
  for (const std::string_view mix : synth_mixes()) {
    if (simt::kInstrumented && mix != "IQ2_S_IQ3_S") continue;
    for (const char* preset : {"qwen3moe-tiny", "qwen3-tiny"}) {
      CAPTURE(mix);
      CAPTURE(std::string(preset));
      check_codes(small(preset, mix, 2));
    }
  }
}

TEST_CASE("cuda model: a type of its own for every matrix, gate and up included") {
  std::vector<engine::formats::TensorType> types;
  for (const auto& type : engine::formats::block_types())
    if (engine::kernels::cuda::weight_type(type.type) && type.encodable)
      types.push_back(type.type);
  for (const char* preset : {"qwen3moe-tiny", "qwen3-tiny"}) {
    const auto from = small(preset, "F32");
    const auto matrices =
        static_cast<size_t>(std::ranges::count_if(from->tensors(), is_matrix));
    for (size_t first = 0; first < types.size(); first += matrices) {
      if (simt::kInstrumented && first > 0) break;
      CAPTURE(std::string(preset));
      CAPTURE(first);
      check_codes(retyped(*from, [&](size_t i) { return types[(first + i) % types.size()]; }));
    }
  }
}

TEST_CASE("cuda model: gate and up of the experts in one tensor give the same bits") {
  for (const char* type : {"Q4_K", "F16"}) {
    const auto file = small("qwen3moe-tiny", type);
    const auto apart = open(file, {}, test::open_emulated());
    const auto together = open(merged(*file), {}, test::open_emulated());
    const auto want = decode(*apart, {}), got = decode(*together, {});
    CAPTURE(std::string(type));
    for (size_t i = 0; i < want.size(); ++i) {
      CHECK(got[i].token == want[i].token);
      CHECK(got[i].margin == want[i].margin);
    }
  }
}

TEST_CASE("cuda model: every pair of KV types gives the scalar backend's greedy tokens") {
  constexpr KvType kTypes[] = {KvType::f32, KvType::f16, KvType::bf16, KvType::q8_0,
                               KvType::q4_0};
  for (const char* source : {"synth:qwen3moe-tiny:F32:1", "synth:qwen3-tiny:F32:1"}) {
    const auto file = synthetic(source);
    for (const KvType k : kTypes) {
      for (const KvType v : kTypes) {
        if (!test::of_this_build(k, v)) continue;
        const auto reference = open(file, {k, v}, nullptr);
        const auto want = decode(*reference, {});
        const auto cuda = open(file, {k, v}, test::open_emulated());
        CAPTURE(std::string(source));
        CAPTURE(int(k));
        CAPTURE(int(v));
        CHECK(check_agreement(want, decode(*cuda, want), kExactMargin) >= kSteps / 2);
      }
    }
  }
}

TEST_CASE("cuda model: the device chooses what the definition chooses") {
  const auto file = synthetic("synth:qwen3moe-tiny:F32:1");
  const auto model = open(file, {}, test::open_emulated());
  const int32_t vocab = model->config().vocab;
  const std::vector<TokenId> tokens = prompt_of(vocab);
  const std::vector<int32_t> pages = {3, 2, 1, 0};
  const SequenceChunk chunk{.tokens = tokens, .position = 0, .pages = pages,
                            .logits = LogitsWanted::all};
  REQUIRE(model->forward({&chunk, 1}) == std::ssize(tokens));
  std::vector<uint32_t> mask((size_t(vocab) + 31) / 32, 0x5a5a5a5au);
  const std::vector<engine::SeenToken> seen = {{.token = 3, .output_count = 2}, {.token = 40},
                                               {.token = 11, .output_count = 1}};
  const SampleJob kinds[] = {
      {.params = {}, .mask = {}, .seen = {}, .vocab = vocab},
      {.params = {.logprobs = 5}, .mask = mask, .seen = {}, .vocab = vocab - 3},
      {.params = {.temperature = 0.9, .top_k = 40, .top_p = 0.9, .min_p = 0.01},
       .uniform = 0.37, .mask = {}, .seen = {}, .vocab = vocab},
      {.params = {.temperature = 1.5, .presence_penalty = 0.5, .frequency_penalty = 0.2,
                  .repeat_penalty = 1.3, .logprobs = 3},
       .uniform = 0.81, .mask = mask, .seen = seen, .vocab = vocab}};
  std::vector<SampleJob> jobs;
  for (size_t i = 0; i < tokens.size(); ++i) jobs.push_back(kinds[i % std::size(kinds)]);
  std::vector<Sampled> got(jobs.size());
  model->sample(jobs, got);
  for (size_t i = 0; i < jobs.size(); ++i) {
    const auto row = model->logits(static_cast<int32_t>(i));
    const Sampled want = engine::sample(jobs[i], row.first(size_t(jobs[i].vocab)));
    CAPTURE(i);
    CHECK(got[i].token == want.token);
    CHECK(std::abs(got[i].logprob - want.logprob) < 1e-5);
    REQUIRE(got[i].top.size() == want.top.size());
    for (size_t k = 0; k < want.top.size(); ++k) CHECK(got[i].top[k].token == want.top[k].token);
  }
}
