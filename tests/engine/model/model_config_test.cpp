#include "engine/model/model_config.h"

#include <doctest/doctest.h>

#include <functional>

#include "engine/model/synth.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::engine;
using namespace swarm::engine::model;
using formats::GgufBuilder;
using formats::GgufValue;

namespace {

// The tiny MoE model with something changed.
Result<ModelConfig> read_changed(const std::function<void(GgufBuilder&)>& change,
                                 const std::string& preset = "qwen3moe-tiny") {
  auto builder = build_synthetic({.preset = preset, .type = "F32", .layers = 1, .seed = 0});
  REQUIRE(builder.has_value());
  change(*builder);
  auto file = builder->finish("m");
  REQUIRE_MESSAGE(file.has_value(), (file ? "" : file.error().message));
  return read_model_config(**file);
}

// A model with one key missing: keys can only be replaced, so a copy of the file is rebuilt.
Result<ModelConfig> read_without(const std::string& gone) {
  auto file = make_synthetic({.preset = "qwen3moe-tiny", .type = "F32", .layers = 1, .seed = 0});
  REQUIRE(file.has_value());
  GgufBuilder builder;
  for (const auto& [key, value] : (*file)->metadata())
    if (key != gone) builder.set(key, value);
  for (const auto& tensor : (*file)->tensors())
    if (tensor.name != gone)
      builder.add_tensor(tensor.name, tensor.dims, tensor.type,
                         {tensor.data.begin(), tensor.data.end()});
  auto rebuilt = builder.finish("m");
  REQUIRE(rebuilt.has_value());
  return read_model_config(**rebuilt);
}

std::vector<std::byte> zeros(size_t floats) { return std::vector<std::byte>(floats * 4); }

}  // namespace

TEST_CASE("model config: every key of the tiny MoE model arrives") {
  const auto read = read_changed([](GgufBuilder&) {});
  REQUIRE_MESSAGE(read.has_value(), (read ? "" : read.error().message));
  const ModelConfig& c = *read;
  CHECK(c.architecture == "qwen3moe");
  CHECK(c.name == "qwen3moe-tiny F32, random weights, seed 0");
  CHECK(c.layers == 1);
  CHECK(c.hidden == 256);
  CHECK(c.heads == 8);
  CHECK(c.kv_heads == 2);
  CHECK(c.head_dim == 64);
  CHECK(c.ffn == 512);
  CHECK(c.experts == 6);
  CHECK(c.experts_used == 2);
  CHECK(c.expert_ffn == 256);
  CHECK(c.vocab == 288);
  CHECK(c.context == 32768);
  CHECK(c.rms_eps == 1e-6f);
  CHECK(c.rope_theta == 1e6f);
  CHECK(c.yarn.original_context == 0);
  CHECK(!c.tied_head);
}

TEST_CASE("model config: bad keys are refused by name") {
  struct Case {
    std::string key;
    GgufValue value;
    std::string message;
  };
  const std::string k = "qwen3moe.";
  const Case cases[] = {
      {"general.architecture", std::string("llama"),
       "m: architecture \"llama\" is not supported; expected \"qwen3moe\" or \"qwen3\""},
      {"general.architecture", uint32_t{1},
       "m: metadata key \"general.architecture\": expected string, found u32"},
      {k + "block_count", uint32_t{0},
       "m: metadata key \"qwen3moe.block_count\": expected 1 to 1024, found 0"},
      {k + "block_count", uint32_t{2}, "m: missing tensor \"blk.1.attn_norm.weight\""},
      {k + "block_count", 4.0f,
       "m: metadata key \"qwen3moe.block_count\": expected an integer, found f32"},
      {k + "embedding_length", int32_t{-256},
       "m: metadata key \"qwen3moe.embedding_length\": expected a number of at least 0, found "
       "-256"},
      {k + "embedding_length", uint32_t{512},
       "m: tensor \"token_embd.weight\": expected dimensions 512 x 288, found 256 x 288"},
      {k + "context_length", uint64_t{1} << 40,
       "m: metadata key \"qwen3moe.context_length\": expected 2 to 1073741824, found "
       "1099511627776"},
      {k + "context_length", uint32_t{1},
       "m: metadata key \"qwen3moe.context_length\": expected 2 to 1073741824, found 1"},
      {k + "attention.head_count", uint32_t{7},
       "m: expected a head count that is a multiple of the 2 key heads, found 7"},
      {k + "attention.value_length", uint32_t{32},
       "m: expected value_length equal to key_length (64), found 32"},
      {k + "attention.layer_norm_rms_epsilon", 0.0f,
       "m: metadata key \"qwen3moe.attention.layer_norm_rms_epsilon\": expected a number above "
       "0.000000, found 0.000000"},
      {k + "rope.freq_base", NAN,
       "m: metadata key \"qwen3moe.rope.freq_base\": expected a number above 1.000000, found nan"},
      {k + "rope.dimension_count", uint32_t{32},
       "m: expected rope.dimension_count equal to key_length (64), found 32"},
      {k + "rope.scaling.type", std::string("longrope"),
       "m: rope scaling \"longrope\" is not supported; expected \"none\" or \"yarn\""},
      {k + "rope.scaling.type", std::string("yarn"),
       "m: missing metadata key \"qwen3moe.rope.scaling.factor\""},
      {k + "rope.scaling.factor", 4.0f,
       "m: linear rope scaling by 4.000000 is not supported; expected a factor of 1 or type "
       "\"yarn\""},
      {k + "expert_used_count", uint32_t{7},
       "m: metadata key \"qwen3moe.expert_used_count\": expected 1 to 6, found 7"},
      {k + "expert_feed_forward_length", uint32_t{128},
       "m: tensor \"blk.0.ffn_gate_exps.weight\": expected dimensions 256 x 128 x 6, found "
       "256 x 256 x 6"},
  };
  for (const Case& c : cases) {
    CAPTURE(c.key);
    const auto read = read_changed([&](GgufBuilder& b) { b.set(c.key, c.value); });
    REQUIRE(read.has_error());
    CHECK(read.error().message == c.message);
  }
}

TEST_CASE("model config: foreign architectures and scalings are unsupported, not broken") {
  const auto kind = [](const std::string& key, GgufValue value) {
    return read_changed([&](GgufBuilder& b) { b.set(key, value); }).error().kind;
  };
  CHECK(kind("qwen3moe.rope.scaling.type", std::string("longrope")) == ErrorKind::unsupported);
  CHECK(kind("qwen3moe.rope.scaling.type", std::string("yarn")) == ErrorKind::environment);
  CHECK(kind("general.architecture", std::string("llama")) == ErrorKind::unsupported);
  CHECK(kind("qwen3moe.block_count", uint32_t{0}) == ErrorKind::environment);
}

namespace {

using Keys = std::vector<std::pair<std::string, GgufValue>>;

// The tiny model, context 32768, as a YaRN one with these keys besides.
Result<ModelConfig> read_yarn(const Keys& keys) {
  return read_changed([&](GgufBuilder& b) {
    b.set("qwen3moe.rope.scaling.type", std::string("yarn"));
    b.set("qwen3moe.rope.scaling.factor", 4.0f);
    for (const auto& [key, value] : keys) b.set("qwen3moe.rope.scaling." + key, value);
  });
}

}  // namespace

TEST_CASE("model config: yarn arrives, with its defaults, and stretches the context") {
  const auto plain = read_yarn({});
  REQUIRE_MESSAGE(plain.has_value(), (plain ? "" : plain.error().message));
  CHECK(plain->yarn.factor == 4);
  CHECK(plain->yarn.original_context == 32768);
  CHECK(plain->yarn.beta_fast == 32);
  CHECK(plain->yarn.beta_slow == 1);
  CHECK(plain->yarn.attention_factor == 1);
  CHECK(plain->context == 131072);
  const auto said = read_yarn({{"original_context_length", uint32_t{4096}},
                               {"yarn_beta_fast", 16.0f}, {"yarn_beta_slow", 2.0f},
                               {"attn_factor", 1.5f}, {"yarn_attn_factor", 1.0f},
                               {"yarn_ext_factor", 1.0f}, {"yarn_log_multiplier", 0.0f},
                               {"finetuned", true}});
  REQUIRE_MESSAGE(said.has_value(), (said ? "" : said.error().message));
  CHECK(said->yarn.original_context == 4096);
  CHECK(said->yarn.beta_fast == 16);
  CHECK(said->yarn.beta_slow == 2);
  CHECK(said->yarn.attention_factor == 1.5f);
  CHECK(said->context == 32768);       // the file's own, larger than 4 x 4096
  // Keys that other writers fill with what would follow without them.
  const auto same = read_yarn({{"yarn_attn_factor", 1.1386294f}, {"yarn_ext_factor", -1.0f}});
  REQUIRE_MESSAGE(same.has_value(), (same ? "" : same.error().message));
  CHECK(same->yarn.attention_factor == 1);
}

TEST_CASE("model config: yarn that makes no sense, or is another variant, is refused by name") {
  struct Case {
    Keys keys;
    std::string message;
  };
  const std::string m = "m: metadata key \"qwen3moe.rope.scaling.";
  const Case cases[] = {
      {{{"factor", 0.5f}}, m + "factor\": expected at least 1 and at most 1073741824 tokens in "
                               "all, found 0.500000"},
      {{{"factor", 1e6f}}, m + "factor\": expected at least 1 and at most 1073741824 tokens in "
                               "all, found 1000000.000000"},
      {{{"factor", NAN}}, m + "factor\": expected a number above 0.000000, found nan"},
      {{{"original_context_length", uint32_t{0}}},
       m + "original_context_length\": expected 1 to 1073741824, found 0"},
      {{{"yarn_beta_fast", 1.0f}},
       m + "yarn_beta_fast\": expected more than yarn_beta_slow (1.000000), found 1.000000"},
      {{{"attn_factor", 0.0f}}, m + "attn_factor\": expected a number above 0.000000, found "
                                    "0.000000"},
      {{{"yarn_ext_factor", 0.5f}},
       m + "yarn_ext_factor\": expected 1.000000, found 0.500000"},
      {{{"yarn_attn_factor", 1.3f}},
       m + "yarn_attn_factor\": expected 1.000000, found 1.300000"},
      {{{"yarn_log_multiplier", 0.1f}},
       m + "yarn_log_multiplier\": expected 0.000000, found 0.100000"},
      {{{"factor", std::string("4")}}, m + "factor\": expected a number, found string"},
  };
  for (const Case& c : cases) {
    const auto read = read_yarn(c.keys);
    CAPTURE(c.keys[0].first);
    REQUIRE(read.has_error());
    CHECK(read.error().message == c.message);
  }
}

TEST_CASE("model config: keys that mean nothing new are accepted") {
  CHECK(read_changed([](GgufBuilder& b) {
          b.set("qwen3moe.rope.scaling.type", std::string("none"));
          b.set("qwen3moe.rope.dimension_count", uint32_t{64});
          b.set("qwen3moe.expert_count", uint64_t{6});
        }).has_value());
  // As llama.cpp writes what is not scaled.
  CHECK(read_changed([](GgufBuilder& b) {
          b.set("qwen3moe.rope.scaling.type", std::string("linear"));
          b.set("qwen3moe.rope.scaling.factor", 0.0f);
          b.set("qwen3moe.rope.scaling.attn_factor", 1.0f);
        }).has_value());
}

TEST_CASE("model config: a missing key or tensor is named, optional ones have their defaults") {
  for (const char* key : {"general.architecture", "qwen3moe.block_count", "qwen3moe.context_length",
                          "qwen3moe.attention.key_length", "qwen3moe.rope.freq_base",
                          "qwen3moe.expert_count", "qwen3moe.expert_used_count"})
    CHECK(read_without(key).error().message ==
          "m: missing metadata key \"" + std::string(key) + "\"");
  CHECK(read_without("blk.0.ffn_norm.weight").error().message ==
        "m: missing tensor \"blk.0.ffn_norm.weight\"");
  CHECK(read_without("qwen3moe.expert_feed_forward_length")->expert_ffn == 256);  // 512 / 2
  CHECK(read_without("output.weight")->tied_head);
  CHECK(read_without("general.name")->name.empty());
}

TEST_CASE("model config: a tensor nobody asked for is an error, not ignored") {
  const auto read = read_changed([](GgufBuilder& b) {
    b.add_tensor("blk.0.attn_q.bias", {512}, formats::TensorType::f32, zeros(512));
  });
  CHECK(read.error().kind == ErrorKind::unsupported);
  CHECK(read.error().message.find("\"blk.0.attn_q.bias\"") != std::string::npos);
}

TEST_CASE("model config: a tokenizer of another size than the embedding is refused") {
  const auto read = read_changed([](GgufBuilder& b) {
    b.set_strings("tokenizer.ggml.tokens", {"a", "b"});
  });
  CHECK(read.error().message ==
        "m: metadata key \"tokenizer.ggml.tokens\": expected 288 entries (rows of "
        "token_embd.weight), found 2");
}

TEST_CASE("model config: the dense model has no experts") {
  const auto read = read_changed([](GgufBuilder&) {}, "qwen3-tiny");
  REQUIRE_MESSAGE(read.has_value(), (read ? "" : read.error().message));
  CHECK(read->experts == 0);
  CHECK(read->ffn == 512);
  CHECK(read->tied_head);
}
