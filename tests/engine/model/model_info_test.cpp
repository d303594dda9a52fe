#include "engine/model/model_info.h"

#include <doctest/doctest.h>

#include <fstream>

#include "engine/model/model_source.h"
#include "engine/model/synth.h"
#include "engine/model/transformer.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::engine;
using namespace swarm::engine::model;

namespace {

// A GGUF header with nothing behind it but a hole of the right size: the published 48-layer model
// in its Q4_K_M mix (reference/engine.md sections 5.1, 5.2 and 6.2) without its 18 GB.
class SparseModel {
 public:
  explicit SparseModel(const std::filesystem::path& path) {
    put_keys();
    add("token_embd", "embd", 0, {2048, 151936});
    add("output_norm", {}, 0, {2048});
    add("output", "output", 0, {2048, 151936});
    for (int32_t layer = 0; layer < 48; ++layer) add_layer(layer);
    std::string head("GGUF\x03\0\0\0", 8);
    append(head, tensors_);
    append(head, keys_);
    head += key_bytes_ + tensor_bytes_;
    test::write_file(path, head);
    std::filesystem::resize_file(path, (head.size() + 31) / 32 * 32 + data_bytes_);
  }

 private:
  template <class T>
  static void append(std::string& to, T value) {
    to.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  static void append_text(std::string& to, const std::string& text) {
    append(to, uint64_t{text.size()});
    to += text;
  }
  void put(const std::string& key, uint32_t value) {
    append_text(key_bytes_, "qwen3moe." + key);
    append(key_bytes_, uint32_t{4});
    append(key_bytes_, value);
    ++keys_;
  }
  void put(const std::string& key, float value) {
    append_text(key_bytes_, "qwen3moe." + key);
    append(key_bytes_, uint32_t{6});
    append(key_bytes_, value);
    ++keys_;
  }
  void put_keys() {
    append_text(key_bytes_, "general.architecture");
    append(key_bytes_, uint32_t{8});
    append_text(key_bytes_, "qwen3moe");
    ++keys_;
    put("block_count", 48u), put("context_length", 40960u), put("embedding_length", 2048u);
    put("feed_forward_length", 6144u), put("attention.head_count", 32u);
    put("attention.head_count_kv", 4u), put("attention.key_length", 128u);
    put("attention.value_length", 128u), put("attention.layer_norm_rms_epsilon", 1e-6f);
    put("rope.freq_base", 1e6f), put("expert_count", 128u), put("expert_used_count", 8u);
    put("expert_feed_forward_length", 768u);
  }
  // part "" = F32
  void add(const std::string& name, const std::string& part, int32_t layer,
           const std::vector<uint64_t>& dims) {
    auto type = formats::TensorType::f32;
    if (!part.empty()) type = *type_in_mix("Q4_K_M", part, layer, 48);
    const formats::BlockType* block = formats::find_block_type(type);
    append_text(tensor_bytes_, name + ".weight");
    append(tensor_bytes_, static_cast<uint32_t>(dims.size()));
    uint64_t elements = 1;
    for (const uint64_t dim : dims) append(tensor_bytes_, dim), elements *= dim;
    append(tensor_bytes_, static_cast<uint32_t>(type));
    append(tensor_bytes_, data_bytes_);
    data_bytes_ += (elements / block->block_elements * block->block_bytes + 31) / 32 * 32;
    ++tensors_;
  }
  void add_layer(int32_t layer) {
    const std::string block = "blk." + std::to_string(layer) + ".";
    const auto matrix = [&](const std::string& part, const std::vector<uint64_t>& dims) {
      add(block + part, part, layer, dims);
    };
    for (const char* norm : {"attn_norm", "ffn_norm"}) add(block + norm, {}, layer, {2048});
    for (const char* norm : {"attn_q_norm", "attn_k_norm"}) add(block + norm, {}, layer, {128});
    add(block + "ffn_gate_inp", {}, layer, {2048, 128});
    matrix("attn_q", {2048, 4096}), matrix("attn_k", {2048, 512}), matrix("attn_v", {2048, 512});
    matrix("attn_output", {4096, 2048}), matrix("ffn_gate_exps", {2048, 768, 128});
    matrix("ffn_up_exps", {2048, 768, 128}), matrix("ffn_down_exps", {768, 2048, 128});
  }

  std::string key_bytes_, tensor_bytes_;
  uint64_t keys_ = 0, tensors_ = 0, data_bytes_ = 0;
};

uint64_t tensors_of(const ModelInfo& info, std::string_view type) {
  for (const TypeUse& use : info.types)
    if (use.name == type) return use.tensors;
  return 0;
}

}  // namespace

TEST_CASE("model info: the published figures of the 30B model in Q4_K_M") {
  const test::TempDir dir;
  const auto path = dir.path() / "sparse.gguf";
  const SparseModel model(path);
  const auto file = formats::GgufFile::open(path);
  REQUIRE_MESSAGE(file.has_value(), (file ? "" : file.error().message));
  const auto info = read_model_info(**file);
  REQUIRE_MESSAGE(info.has_value(), (info ? "" : info.error().message));
  CHECK(info->tensors == 579);
  CHECK(tensors_of(*info, "F32") == 241);
  CHECK(tensors_of(*info, "Q4_K") == 289);
  CHECK(tensors_of(*info, "Q6_K") == 49);
  CHECK(info->types.front().name == "Q4_K");
  CHECK(static_cast<double>(info->parameters) == doctest::Approx(30.532e9).epsilon(2e-5));
  CHECK(static_cast<double>(info->active_parameters) == doctest::Approx(3.35e9).epsilon(2e-3));
  CHECK(static_cast<double>(info->weight_bytes) == doctest::Approx(18.55e9).epsilon(5e-4));
  CHECK(info->kv_bytes_per_token == 98304);
  // 32768 tokens of f16 KV are 3 GiB.
  CHECK(32768 * info->kv_bytes_per_token == uint64_t{3} << 30);
}

TEST_CASE("model info: bytes per token are those the transformer counts") {
  for (const char* preset : {"qwen3moe-tiny", "qwen3-tiny"}) {
    for (const char* type : {"F32", "Q4_K_M"}) {
      CAPTURE(std::string(preset));
      CAPTURE(std::string(type));
      const auto file =
          make_synthetic({.preset = preset, .type = type, .layers = 3, .seed = 1});
      REQUIRE(file.has_value());
      const auto info = read_model_info(**file);
      REQUIRE(info.has_value());
      TransformerOptions options;
      options.page_count = 1;
      options.threads = 1;
      const auto transformer = Transformer::open(*file, options);
      REQUIRE(transformer.has_value());
      CHECK((*transformer)->bytes_per_token() == info->bytes_per_token);
      CHECK((*transformer)->weight_bytes() == info->weight_bytes);
      CHECK(kv_bytes_per_token(info->config, KvType::f16, KvType::f16) ==
            info->kv_bytes_per_token);
    }
  }
}

TEST_CASE("model info: a model opened for its shapes has the sizes of the real one") {
  for (const char* source : {"synth:qwen3moe-tiny:Q4_K_M:2", "synth:qwen3-tiny:FP8:1"}) {
    CAPTURE(std::string(source));
    const auto made = open_model(source), shapes = open_model_shapes(source);
    REQUIRE(made.has_value());
    REQUIRE(shapes.has_value());
    CHECK((*shapes)->file_bytes() == (*made)->file_bytes());
    CHECK((*shapes)->metadata().size() == (*made)->metadata().size());
    REQUIRE((*shapes)->tensors().size() == (*made)->tensors().size());
    for (size_t i = 0; i < (*made)->tensors().size(); ++i) {
      const auto& want = (*made)->tensors()[i];
      const auto& got = (*shapes)->tensors()[i];
      CHECK(got.name == want.name);
      CHECK(got.type == want.type);
      CHECK(got.dims == want.dims);
      CHECK(got.data.size() == want.data.size());
    }
  }
}

TEST_CASE("model info: 18 GB of synthetic weights are counted without making them") {
  const auto file = open_model_shapes("synth:qwen3-30b-a3b:Q4_K_M");
  REQUIRE(file.has_value());
  const auto info = read_model_info(**file);
  REQUIRE(info.has_value());
  CHECK(info->tensors == 579);
  CHECK(static_cast<double>(info->weight_bytes) == doctest::Approx(18.55e9).epsilon(5e-4));
  // Nobody made them: they read as zeros.
  const auto& head = (*file)->find_tensor("output.weight")->data;
  CHECK(head.front() == std::byte{0});
  CHECK(head.back() == std::byte{0});
}

TEST_CASE("model info: without experts every parameter is active") {
  const auto file = make_synthetic({.preset = "qwen3-tiny", .type = "Q8_0", .layers = 1});
  REQUIRE(file.has_value());
  const auto info = read_model_info(**file);
  REQUIRE(info.has_value());
  CHECK(info->active_parameters == info->parameters);
  CHECK(info->file_bytes > info->weight_bytes);
}
