#include "engine/model/synth.h"

#include <doctest/doctest.h>

#include <cmath>
#include <map>
#include <set>

#include "engine/base/rng.h"
#include "engine/base/utf8.h"
#include "engine/model/model_config.h"
#include "engine/model/model_source.h"
#include "engine/model/synth_blocks.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::engine;
using namespace swarm::engine::model;
using formats::GgufFile;
using formats::TensorType;

namespace {

std::shared_ptr<const GgufFile> synth(const std::string& preset, const std::string& type = {},
                                      int32_t layers = 0, uint64_t seed = 0) {
  auto made = make_synthetic({.preset = preset, .type = type, .layers = layers, .seed = seed});
  REQUIRE_MESSAGE(made.has_value(), (made ? "" : made.error().message));
  return *made;
}

std::vector<float> floats(const formats::TensorView& tensor, size_t elements_max) {
  const formats::BlockType* type = formats::find_block_type(tensor.type);
  const size_t elements = std::min<size_t>(tensor.elements(), elements_max);
  std::vector<float> out(elements);
  const size_t bytes = elements / type->block_elements * type->block_bytes;
  REQUIRE(formats::dequantize(tensor.type, tensor.data.first(bytes), out).has_value());
  return out;
}

struct Moments {
  double mean = 0;
  double std_dev = 0;
};
Moments moments(std::span<const float> values) {
  double sum = 0, squares = 0;
  for (const float v : values) sum += v, squares += double{v} * v;
  const double n = static_cast<double>(values.size()), mean = sum / n;
  return {.mean = mean, .std_dev = std::sqrt(squares / n - mean * mean)};
}

TensorType type_of(const GgufFile& file, const std::string& name) {
  const auto* tensor = file.find_tensor(name);
  REQUIRE_MESSAGE(tensor, name);
  return tensor->type;
}

}  // namespace

TEST_CASE("synth: every small preset is a model the engine accepts") {
  for (const char* preset : {"qwen3moe-tiny", "qwen3-tiny"}) {
    CAPTURE(std::string(preset));
    const auto file = synth(preset);
    const auto config = read_model_config(*file);
    REQUIRE_MESSAGE(config.has_value(), (config ? "" : config.error().message));
    CHECK(config->layers == 4);
    CHECK(config->hidden == 256);
    CHECK(config->vocab == 288);
    CHECK(config->experts != 8);
    CHECK(config->tied_head == (std::string(preset) == "qwen3-tiny"));
    for (const auto& tensor : file->tensors()) CHECK(tensor.type == TensorType::f32);
  }
}

TEST_CASE("synth: the same spec gives the same bytes, another seed gives others") {
  const auto a = synth("qwen3-tiny", "Q4_K_M", 2, 7), b = synth("qwen3-tiny", "q4_k_m", 2, 7);
  const auto c = synth("qwen3-tiny", "Q4_K_M", 2, 8), d = synth("qwen3-tiny", "Q4_K_M", 4, 7);
  // A tensor has its own stream: it does not depend on how many layers follow.
  const std::string name = "blk.0.attn_q.weight";
  const auto bytes = [&](const auto& file) { return file->find_tensor(name)->data; };
  CHECK(std::ranges::equal(bytes(a), bytes(b)));
  CHECK(!std::ranges::equal(bytes(a), bytes(c)));
  CHECK(std::ranges::equal(bytes(a), bytes(d)));
  CHECK(a->name() == "synth:qwen3-tiny:Q4_K_M:2");
}

TEST_CASE("synth: F32 weights have not changed (same bytes on every platform)") {
  const auto file = synth("qwen3-tiny", "F32", 1, 0);
  const auto data = file->find_tensor("blk.0.ffn_up.weight")->data;
  const std::string_view text(reinterpret_cast<const char*>(data.data()), data.size());
  CHECK(hash_text(text) == 1413216662211310844u);  // tests elsewhere compare against these weights
}

TEST_CASE("synth: weights have the promised mean and spread in every type") {
  for (const char* type : {"F32", "F16", "BF16", "Q8_0", "Q4_0", "Q4_1", "Q5_0", "Q5_1", "MXFP4",
                           "Q4_K", "Q5_K", "Q6_K"}) {
    CAPTURE(std::string(type));
    const auto file = synth("qwen3moe-tiny", type, 1);
    const auto q = moments(floats(*file->find_tensor("blk.0.attn_q.weight"), 1 << 17));
    CHECK(q.std_dev == doctest::Approx(1.0 / 16).epsilon(0.03));  // rows of 256
    CHECK(std::abs(q.mean) < 0.002);
    const auto norm = moments(floats(*file->find_tensor("blk.0.attn_norm.weight"), 256));
    CHECK(norm.mean == doctest::Approx(1.0).epsilon(0.03));
    CHECK(type_of(*file, "blk.0.ffn_gate_inp.weight") == TensorType::f32);
  }
}

TEST_CASE("synth: encoded weights keep mean and spread in every type") {
  constexpr size_t kCount = 1 << 15;
  for (const formats::BlockType& type : formats::block_types()) {
    if (!type.encodable || type.type == TensorType::q8_1 || type.type == TensorType::q8_k) continue;
    CAPTURE(type.name);
    Rng rng(6);
    const auto data = random_tensor(type.type, kCount, {.mean = 0, .std_dev = 0.05f},
                                    SynthBlocks::encoded, rng);
    std::vector<float> values(kCount);
    REQUIRE(formats::dequantize(type.type, data, values).has_value());
    const auto m = moments(values);
    // Least squares pulls towards zero what it cannot represent: a relative error e leaves
    // sqrt(1 - e^2), and two bits err by about a third.
    const bool coarse = type.name.starts_with("IQ2_") || type.name == "Q2_K";
    CHECK(m.std_dev == doctest::Approx(0.05).epsilon(coarse ? 0.08 : 0.03));
    CHECK(std::abs(m.mean) < 0.002);
  }
}

TEST_CASE("synth: blocks made directly have the spread of encoded ones") {
  for (const formats::BlockType& block : formats::block_types()) {
    const TensorType type = block.type;
    if (!block.encodable || type == TensorType::q8_1 || type == TensorType::q8_k) continue;
    CAPTURE(block.name);
    Rng rng(5);
    const auto data =
        random_tensor(type, 1 << 18, {.mean = 0, .std_dev = 0.02f}, SynthBlocks::direct, rng);
    std::vector<float> values(1 << 18);
    REQUIRE(formats::dequantize(type, data, values).has_value());
    const auto m = moments(values);
    CHECK(m.std_dev == doctest::Approx(0.02).epsilon(0.02));
    CHECK(std::abs(m.mean) < 3e-4);
  }
}

// What llama.cpp's quantize tool chose for a 48-layer qwen3moe: reference/engine.md section 6.2.
TEST_CASE("synth: the mixes give each matrix the type the published mixes give it") {
  const std::set<int32_t> more = {0,  1,  2,  3,  4,  5,  8,  11, 14, 17, 20, 23,
                                  26, 29, 32, 35, 38, 41, 42, 43, 44, 45, 46, 47};
  for (int32_t layer = 0; layer < 48; ++layer) {
    CAPTURE(layer);
    const bool wide = more.contains(layer);
    for (const char* part : {"attn_v", "ffn_down_exps"}) {
      CHECK(*type_in_mix("Q4_K_M", part, layer, 48) ==
            (wide ? TensorType::q6_k : TensorType::q4_k));
      CHECK(*type_in_mix("Q5_K_M", part, layer, 48) ==
            (wide ? TensorType::q6_k : TensorType::q5_k));
    }
    CHECK(*type_in_mix("Q4_K_M", "attn_q", layer, 48) == TensorType::q4_k);
  }
  CHECK(*type_in_mix("Q4_K_M", "output", 0, 48) == TensorType::q6_k);
  CHECK(*type_in_mix("Q4_K_M", "embd", 0, 48) == TensorType::q4_k);
  CHECK(*type_in_mix("Q6_K", "attn_v", 3, 48) == TensorType::q6_k);
  CHECK(*type_in_mix("IQ2_XS", "attn_v", 3, 48) == TensorType::iq2_xs);
  CHECK(type_in_mix("IQ1_S", "attn_v", 3, 48).error().kind == ErrorKind::unsupported);
  CHECK(type_in_mix("Q8_K", "attn_v", 3, 48).error().message.find("one of Q4_K_M, Q5_K_M, IQ2_S_I")
        != std::string::npos);
}

TEST_CASE("synth: the mix of two bits, MXFP4_MOE and FP8 give each matrix its own type") {
  struct Row {
    const char* part;
    TensorType two_bits, mxfp4, fp8;
  };
  for (const Row& row : std::vector<Row>{
           {"embd", TensorType::q6_k, TensorType::q8_0, TensorType::bf16},
           {"output", TensorType::q6_k, TensorType::q8_0, TensorType::bf16},
           {"attn_q", TensorType::q4_k, TensorType::q8_0, TensorType::fp8},
           {"attn_output", TensorType::q4_k, TensorType::q8_0, TensorType::fp8},
           {"ffn_gate_exps", TensorType::iq2_s, TensorType::mxfp4, TensorType::fp8},
           {"ffn_up_exps", TensorType::iq2_s, TensorType::mxfp4, TensorType::fp8},
           {"ffn_down_exps", TensorType::iq3_s, TensorType::mxfp4, TensorType::fp8},
           {"ffn_down", TensorType::iq3_s, TensorType::q8_0, TensorType::fp8}}) {
    CAPTURE(std::string(row.part));
    CHECK(*type_in_mix("IQ2_S_IQ3_S", row.part, 1, 4) == row.two_bits);
    CHECK(*type_in_mix("MXFP4_MOE", row.part, 1, 4) == row.mxfp4);
    CHECK(*type_in_mix("FP8", row.part, 1, 4) == row.fp8);
  }
}

TEST_CASE("synth: one layer of the 30B shape has the published dimensions and tokens") {
  const auto file = synth("qwen3-30b-a3b", "", 1);
  const auto config = read_model_config(*file);
  REQUIRE_MESSAGE(config.has_value(), (config ? "" : config.error().message));
  CHECK(config->layers == 1);
  CHECK(config->vocab == 151936);
  CHECK(config->experts == 128);
  CHECK(config->experts_used == 8);
  CHECK(config->context == 262144);
  CHECK(type_of(*file, "output.weight") == TensorType::q6_k);
  CHECK(file->find_tensor("blk.0.ffn_down_exps.weight")->dims ==
        std::vector<uint64_t>{768, 2048, 128});
  const auto tokens = *file->array("tokenizer.ggml.tokens");
  CHECK(std::get<std::string>(tokens[151644]) == "<|im_start|>");
  CHECK(std::get<std::string>(tokens[151657]) == "<tool_call>");
  CHECK(std::get<std::string>(tokens[151668]) == "</think>");
  CHECK(*file->integer("tokenizer.ggml.eos_token_id") == 151645);
}

TEST_CASE("synth: the vocabulary has every byte once and no token twice") {
  const auto file = synth("qwen3-tiny", "", 1);
  std::set<std::string> seen;
  for (const auto& value : *file->array("tokenizer.ggml.tokens")) {
    const auto& token = std::get<std::string>(value);
    CHECK(utf8_is_valid(token));
    CHECK(seen.insert(token).second);
  }
  CHECK(seen.size() == 288);
  CHECK(seen.contains("\u0120"));  // the space
  for (const auto& value : *file->array("tokenizer.ggml.merges")) {
    std::string merged = std::get<std::string>(value);
    merged.erase(merged.find(' '), 1);
    CHECK(seen.contains(merged));
  }
}

TEST_CASE("synth: unknown presets and types are refused with a suggestion") {
  CHECK(make_synthetic({.preset = "qwen3-tinny"}).error().message ==
        "unknown preset \"qwen3-tinny\"; did you mean \"qwen3-tiny\"?");
  CHECK(make_synthetic({.preset = "qwen3-tiny", .type = "Q4KM"}).error().kind ==
        ErrorKind::invalid_input);
  CHECK(make_synthetic({.preset = "qwen3-tiny", .layers = -1}).has_error());
}

TEST_CASE("model source: paths and synth names are told apart") {
  CHECK(std::get<std::filesystem::path>(*parse_model_source("a/b.gguf")) == "a/b.gguf");
  const auto spec = std::get<SynthSpec>(*parse_model_source("synth:qwen3-30b-a3b:Q4_K_M:2"));
  CHECK(spec.preset == "qwen3-30b-a3b");
  CHECK(spec.type == "Q4_K_M");
  CHECK(spec.layers == 2);
  CHECK(synth_source(spec) == "synth:qwen3-30b-a3b:Q4_K_M:2");
  CHECK(std::get<SynthSpec>(*parse_model_source("synth:qwen3-tiny")).layers == 0);
  for (const char* bad : {"", "synth:", "synth:a:b:c:d", "synth:a:b:x", "synth:a:b:0"}) {
    CAPTURE(std::string(bad));
    CHECK(parse_model_source(bad).error().kind == ErrorKind::invalid_input);
  }
  CHECK(open_model("no/such.gguf").error().kind == ErrorKind::environment);
  CHECK(open_model("no/such.gguf").error().message ==
        "no/such.gguf: cannot open: No such file or directory");
  CHECK((*open_model("synth:qwen3-tiny:Q8_0:1"))->tensors().size() == 13);
}
