// Shapes beyond the kernels are refused when a model is opened, with the value and the limit, and
// the largest shapes within are not.
#include <doctest/doctest.h>

#include <string>

#include "engine/formats/gguf.h"
#include "engine/kernels/cuda/cuda_footprint.h"
#include "engine/model/memory_plan.h"
#include "engine/model/transformer.h"
#include "tests/engine/kernels/cuda/model/emulated_device.h"

using namespace swarm;
using namespace swarm::engine::model;
using engine::formats::GgufBuilder;
using engine::formats::GgufFile;
using engine::formats::TensorType;

namespace {

struct Shape {
  uint64_t head_dim = 2;
  uint64_t experts = 1;
  uint64_t vocab = 3;
  uint64_t context = 64;
};

// One layer, hidden and ffn 4, one head; zeros that take no memory.
std::shared_ptr<const GgufFile> model_of(const Shape& shape) {
  GgufBuilder builder;
  builder.set("general.architecture", std::string("qwen3moe"));
  const auto set = [&](const char* key, uint64_t value) {
    builder.set("qwen3moe." + std::string(key), value);
  };
  set("block_count", 1);
  set("embedding_length", 4);
  set("context_length", shape.context);
  set("attention.head_count", 1);
  set("attention.head_count_kv", 1);
  set("attention.key_length", shape.head_dim);
  set("attention.value_length", shape.head_dim);
  set("expert_count", shape.experts);
  set("expert_used_count", 1);
  set("expert_feed_forward_length", 4);
  builder.set("qwen3moe.attention.layer_norm_rms_epsilon", 1e-6);
  builder.set("qwen3moe.rope.freq_base", 1e6);
  const auto add = [&](const std::string& name, const std::vector<uint64_t>& dims) {
    builder.add_lazy_tensor(name + ".weight", dims, TensorType::f32,
                            [] { return std::vector<std::byte>(); });
  };
  add("token_embd", {4, shape.vocab});
  add("output_norm", {4});
  for (const char* norm : {"attn_norm", "ffn_norm"}) add("blk.0." + std::string(norm), {4});
  for (const char* norm : {"attn_q_norm", "attn_k_norm"})
    add("blk.0." + std::string(norm), {shape.head_dim});
  for (const char* part : {"attn_q", "attn_k", "attn_v"})
    add("blk.0." + std::string(part), {4, shape.head_dim});
  add("blk.0.attn_output", {shape.head_dim, 4});
  add("blk.0.ffn_gate_inp", {4, shape.experts});
  for (const char* part : {"ffn_gate_exps", "ffn_up_exps", "ffn_down_exps"})
    add("blk.0." + std::string(part), {4, 4, shape.experts});
  auto file = builder.finish_shapes("shapes");
  SWARM_CHECK(file.has_value(), file.has_error() ? file.error().to_text() : "");
  return *file;
}

const TransformerOptions kOptions{.page_tokens = 16, .page_count = 1, .batch_tokens_max = 1};

std::string refusal(const Shape& shape) {
  const auto opened = Transformer::open(model_of(shape), kOptions, test::open_emulated());
  REQUIRE(opened.has_error());
  CHECK(opened.error().kind == ErrorKind::unsupported);
  return opened.error().message;
}

bool planned(const Shape& shape) {
  const auto file = model_of(shape);
  const auto config = read_model_config(*file);
  REQUIRE(config.has_value());
  const auto& footprint = engine::kernels::cuda::cuda_footprint();
  const auto weights = bind_weights(*file, *config, footprint);
  REQUIRE(weights.has_value());
  return plan_memory(*weights, *config, kOptions, footprint).has_value();
}

}  // namespace

TEST_CASE("cuda limits: a shape beyond the kernels is refused with value and limit") {
  const std::string cpu = "; engine.device cpu has no such limit";
  CHECK(refusal({.head_dim = 258}) ==
        "head size of the model: expected at most 256 on CUDA devices, found 258" + cpu);
  CHECK(refusal({.experts = 1025}) ==
        "experts of the model: expected at most 1024 on CUDA devices, found 1025" + cpu);
  CHECK(refusal({.vocab = 262145}) ==
        "vocabulary of the model: expected at most 262144 on CUDA devices, found 262145" + cpu);
  CHECK(refusal({.context = 16777217}) ==
        "engine.context_max: expected at most 16777216 on CUDA devices, found 16777217" + cpu);
}

TEST_CASE("cuda limits: the largest shapes are planned, and the CPU takes larger ones") {
  CHECK(planned({.head_dim = 256}));
  CHECK(planned({.experts = 1024}));
  CHECK(planned({.vocab = 262144}));
  CHECK(planned({.context = 16777216}));
  CHECK_FALSE(planned({.experts = 1025}));
  CHECK(Transformer::open(model_of({.experts = 1025}), kOptions).has_value());
}
