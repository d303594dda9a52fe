#include "engine/model/model_config.h"

#include <algorithm>
#include <cmath>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/formats/block_types.h"

namespace swarm::engine::model {
namespace {

using formats::GgufFile;
using formats::TensorView;

// Bounds that no real model comes near; they keep every later product inside 63 bits.
constexpr int32_t kLayersMax = 1024;
constexpr int32_t kWidthMax = 1 << 20;
constexpr int32_t kHeadsMax = 4096;
constexpr int32_t kExpertsMax = 65536;
constexpr int32_t kVocabMax = 1 << 24;
constexpr int32_t kContextMax = 1 << 30;

struct Range {
  int32_t min;
  int32_t max;
};

Error in_file(const GgufFile& file, std::string message) {
  return environment_error(file.name() + ": " + std::move(message));
}

class Reader {
 public:
  Reader(const GgufFile& file, std::string prefix) : file_(file), prefix_(std::move(prefix)) {}

  std::string key(std::string_view name) const { return prefix_ + "." + std::string(name); }
  bool has(std::string_view name) const { return file_.has(key(name)); }

  Result<int32_t> integer(std::string_view name, Range range) const {
    SWARM_TRY(const uint64_t value, file_.integer(key(name)));
    if (value < static_cast<uint64_t>(range.min) || value > static_cast<uint64_t>(range.max))
      return in_file(file_, "metadata key \"" + key(name) + "\": expected " +
                                std::to_string(range.min) + " to " + std::to_string(range.max) +
                                ", found " + std::to_string(value));
    return static_cast<int32_t>(value);
  }

  // A finite number above `above`.
  Result<float> number(std::string_view name, double above) const {
    SWARM_TRY(const double value, file_.number(key(name)));
    if (!std::isfinite(value) || !(value > above) || value > 1e30)
      return in_file(file_, "metadata key \"" + key(name) + "\": expected a number above " +
                                std::to_string(above) + ", found " + std::to_string(value));
    return static_cast<float>(value);
  }

  // One above zero, or `absent`.
  Result<float> number_or(std::string_view name, float absent) const {
    if (!has(name)) return absent;
    return number(name, 0.0);
  }

 private:
  const GgufFile& file_;
  std::string prefix_;
};

Result<void> read_attention(const GgufFile& file, const Reader& keys, ModelConfig& config) {
  SWARM_TRY(config.heads, keys.integer("attention.head_count", {1, kHeadsMax}));
  SWARM_TRY(config.kv_heads, keys.integer("attention.head_count_kv", {1, kHeadsMax}));
  SWARM_TRY(config.head_dim, keys.integer("attention.key_length", {2, kWidthMax}));
  SWARM_TRY(const int32_t value_length, keys.integer("attention.value_length", {2, kWidthMax}));
  if (config.heads % config.kv_heads != 0)
    return in_file(file, "expected a head count that is a multiple of the " +
                             std::to_string(config.kv_heads) + " key heads, found " +
                             std::to_string(config.heads));
  if (value_length != config.head_dim)
    return unsupported(file.name() + ": expected value_length equal to key_length (" +
                       std::to_string(config.head_dim) + "), found " +
                       std::to_string(value_length));
  if (config.head_dim % 2 != 0)
    return in_file(file, "expected an even key_length, found " + std::to_string(config.head_dim));
  SWARM_TRY(config.rms_eps, keys.number("attention.layer_norm_rms_epsilon", 0.0));
  return {};
}

// Values of keys whose meaning is not settled, or is that of other architectures: only those that
// change nothing. yarn_attn_factor: converters write the whole factor of cos and sin there, as
// Hugging Face has it, while llama.cpp does not look at it (measured), and writes 1 itself.
Result<void> check_yarn_variants(const GgufFile& file, const Reader& keys, float factor) {
  struct Variant {
    const char* name;
    double plain;
    double same;                       // means the same as plain
  };
  const Variant variants[] = {{"rope.scaling.yarn_ext_factor", 1, -1},      // -1: not set
                              {"rope.scaling.yarn_log_multiplier", 0, 0},
                              {"rope.scaling.yarn_attn_factor", 1, 0.1 * std::log(factor) + 1}};
  for (const Variant& variant : variants) {
    if (!keys.has(variant.name)) continue;
    SWARM_TRY(const double found, file.number(keys.key(variant.name)));
    if (found == variant.plain || std::abs(found - variant.same) <= 1e-6) continue;
    return unsupported(file.name() + ": metadata key \"" + keys.key(variant.name) +
                       "\": expected " + std::to_string(variant.plain) + ", found " +
                       std::to_string(found));
  }
  return {};
}

// Sections 5.1 and 13 of reference/engine.md: attn_factor multiplies what follows from the factor.
// The context of the training is the model's where the file does not say it.
Result<void> read_yarn(const GgufFile& file, const Reader& keys, ModelConfig& config) {
  Yarn yarn{.original_context = config.context};
  SWARM_TRY(yarn.factor, keys.number("rope.scaling.factor", 0.0));
  SWARM_TRY(yarn.beta_fast, keys.number_or("rope.scaling.yarn_beta_fast", yarn.beta_fast));
  SWARM_TRY(yarn.beta_slow, keys.number_or("rope.scaling.yarn_beta_slow", yarn.beta_slow));
  SWARM_TRY(yarn.attention_factor, keys.number_or("rope.scaling.attn_factor", 1));
  if (keys.has("rope.scaling.original_context_length")) {
    SWARM_TRY(yarn.original_context,
              keys.integer("rope.scaling.original_context_length", {1, kContextMax}));
  }
  const double context = std::floor(double{yarn.factor} * yarn.original_context);
  if (!(yarn.factor >= 1) || context > kContextMax)
    return in_file(file, "metadata key \"" + keys.key("rope.scaling.factor") +
                             "\": expected at least 1 and at most " +
                             std::to_string(kContextMax) + " tokens in all, found " +
                             std::to_string(yarn.factor));
  if (!(yarn.beta_fast > yarn.beta_slow))
    return in_file(file, "metadata key \"" + keys.key("rope.scaling.yarn_beta_fast") +
                             "\": expected more than yarn_beta_slow (" +
                             std::to_string(yarn.beta_slow) + "), found " +
                             std::to_string(yarn.beta_fast));
  SWARM_TRY_VOID(check_yarn_variants(file, keys, yarn.factor));
  config.context = std::max(config.context, static_cast<int32_t>(context));
  config.yarn = yarn;
  return {};
}

// What is not known is refused: a model without its scaling answers wrongly. A factor without a
// type is a linear one; writers of files also say "linear" by 0 or 1 where nothing is scaled.
Result<void> read_rope_scaling(const GgufFile& file, const Reader& keys, ModelConfig& config) {
  std::string_view type = "linear";
  if (keys.has("rope.scaling.type")) {
    SWARM_TRY(type, file.text(keys.key("rope.scaling.type")));
  }
  if (type == "none") return {};
  if (type == "yarn") return read_yarn(file, keys, config);
  if (type != "linear")
    return unsupported(file.name() + ": rope scaling \"" + std::string(type) +
                       "\" is not supported; expected \"none\" or \"yarn\"");
  for (const char* name : {"rope.scaling.factor", "rope.scale_linear"}) {
    if (!keys.has(name)) continue;
    SWARM_TRY(const double factor, file.number(keys.key(name)));
    if (factor != 0.0 && factor != 1.0)
      return unsupported(file.name() + ": linear rope scaling by " + std::to_string(factor) +
                         " is not supported; expected a factor of 1 or type \"yarn\"");
  }
  return {};
}

Result<void> read_rope(const GgufFile& file, const Reader& keys, ModelConfig& config) {
  SWARM_TRY(config.rope_theta, keys.number("rope.freq_base", 1.0));
  if (keys.has("rope.dimension_count")) {
    SWARM_TRY(const int32_t rotated, keys.integer("rope.dimension_count", {1, kWidthMax}));
    if (rotated != config.head_dim)
      return unsupported(file.name() + ": expected rope.dimension_count equal to key_length (" +
                         std::to_string(config.head_dim) + "), found " + std::to_string(rotated));
  }
  return read_rope_scaling(file, keys, config);
}

Result<void> read_feed_forward(const Reader& keys, ModelConfig& config) {
  if (config.architecture == "qwen3") {
    SWARM_TRY(config.ffn, keys.integer("feed_forward_length", {1, kWidthMax}));
    return {};
  }
  SWARM_TRY(config.experts, keys.integer("expert_count", {1, kExpertsMax}));
  SWARM_TRY(config.experts_used, keys.integer("expert_used_count", {1, config.experts}));
  if (keys.has("feed_forward_length")) {
    SWARM_TRY(config.ffn, keys.integer("feed_forward_length", {0, kWidthMax}));
  }
  if (keys.has("expert_feed_forward_length")) {
    SWARM_TRY(config.expert_ffn, keys.integer("expert_feed_forward_length", {1, kWidthMax}));
  } else {
    // Old conversions: the dense width is the sum over the experts in use.
    SWARM_TRY(const int32_t ffn, keys.integer("feed_forward_length", {1, kWidthMax}));
    config.expert_ffn = ffn / config.experts_used;
  }
  return {};
}

// Looks every expected tensor up, compares its dims and remembers it, so that what is left over
// (a bias, a shared expert) is noticed instead of ignored.
class TensorCheck {
 public:
  explicit TensorCheck(const GgufFile& file) : file_(file) {}

  Result<void> expect(const std::string& name, const std::vector<int64_t>& dims) {
    const TensorView* tensor = file_.find_tensor(name);
    if (!tensor) return in_file(file_, "missing tensor \"" + name + "\"");
    const bool same = std::equal(
        dims.begin(), dims.end(), tensor->dims.begin(), tensor->dims.end(),
        [](int64_t want, uint64_t found) { return static_cast<uint64_t>(want) == found; });
    if (!same)
      return in_file(file_, "tensor \"" + name + "\": expected dimensions " + text_of(dims) +
                                ", found " + text_of(tensor->dims));
    const formats::BlockType* type = formats::find_block_type(tensor->type);
    if (!type || !type->decodable)
      return unsupported(file_.name() + ": tensor \"" + name + "\": type " +
                         (type ? std::string(type->name) : "?") + " is not supported");
    seen_.insert(name);
    return {};
  }

  Result<void> expect_nothing_else() const {
    for (const TensorView& tensor : file_.tensors())
      if (!seen_.contains(tensor.name))
        return unsupported(file_.name() + ": unexpected tensor \"" + tensor.name +
                           "\": the model would not be computed as it was made");
    return {};
  }

 private:
  template <class Dims>
  static std::string text_of(const Dims& dims) {
    std::string text;
    for (const auto dim : dims) text += (text.empty() ? "" : " x ") + std::to_string(dim);
    return text;
  }

  const GgufFile& file_;
  std::set<std::string, std::less<>> seen_;
};

Result<void> check_layer(const GgufFile& file, const ModelConfig& c, int32_t layer,
                         TensorCheck& check) {
  const auto name = [&](const char* part) {
    return "blk." + std::to_string(layer) + "." + part + ".weight";
  };
  const int64_t q_width = int64_t{c.heads} * c.head_dim;
  const int64_t kv_width = int64_t{c.kv_heads} * c.head_dim;
  SWARM_TRY_VOID(check.expect(name("attn_norm"), {c.hidden}));
  SWARM_TRY_VOID(check.expect(name("attn_q"), {c.hidden, q_width}));
  SWARM_TRY_VOID(check.expect(name("attn_k"), {c.hidden, kv_width}));
  SWARM_TRY_VOID(check.expect(name("attn_v"), {c.hidden, kv_width}));
  SWARM_TRY_VOID(check.expect(name("attn_q_norm"), {c.head_dim}));
  SWARM_TRY_VOID(check.expect(name("attn_k_norm"), {c.head_dim}));
  SWARM_TRY_VOID(check.expect(name("attn_output"), {q_width, c.hidden}));
  SWARM_TRY_VOID(check.expect(name("ffn_norm"), {c.hidden}));
  if (c.experts == 0) {
    SWARM_TRY_VOID(check.expect(name("ffn_gate"), {c.hidden, c.ffn}));
    SWARM_TRY_VOID(check.expect(name("ffn_up"), {c.hidden, c.ffn}));
    return check.expect(name("ffn_down"), {c.ffn, c.hidden});
  }
  SWARM_TRY_VOID(check.expect(name("ffn_gate_inp"), {c.hidden, c.experts}));
  if (file.find_tensor(name("ffn_gate_up_exps"))) {
    SWARM_TRY_VOID(check.expect(name("ffn_gate_up_exps"),
                                {c.hidden, 2 * int64_t{c.expert_ffn}, c.experts}));
  } else {
    SWARM_TRY_VOID(check.expect(name("ffn_gate_exps"), {c.hidden, c.expert_ffn, c.experts}));
    SWARM_TRY_VOID(check.expect(name("ffn_up_exps"), {c.hidden, c.expert_ffn, c.experts}));
  }
  return check.expect(name("ffn_down_exps"), {c.expert_ffn, c.hidden, c.experts});
}

Result<void> check_tensors(const GgufFile& file, const ModelConfig& config) {
  TensorCheck check(file);
  SWARM_TRY_VOID(check.expect("token_embd.weight", {config.hidden, config.vocab}));
  SWARM_TRY_VOID(check.expect("output_norm.weight", {config.hidden}));
  if (!config.tied_head)
    SWARM_TRY_VOID(check.expect("output.weight", {config.hidden, config.vocab}));
  for (int32_t layer = 0; layer < config.layers; ++layer)
    SWARM_TRY_VOID(check_layer(file, config, layer, check));
  return check.expect_nothing_else();
}

// The embedding knows how many rows there are; a tokenizer of another size would index past it.
Result<int32_t> read_vocab(const GgufFile& file) {
  const TensorView* embedding = file.find_tensor("token_embd.weight");
  if (!embedding) return in_file(file, "missing tensor \"token_embd.weight\"");
  if (embedding->dims.size() != 2 || embedding->dims[1] > uint64_t{kVocabMax})
    return in_file(file, "tensor \"token_embd.weight\": expected 2 dimensions and at most " +
                             std::to_string(kVocabMax) + " rows");
  const uint64_t rows = embedding->dims[1];
  if (file.has("tokenizer.ggml.tokens")) {
    SWARM_TRY(const auto tokens, file.array("tokenizer.ggml.tokens"));
    if (tokens.size() != rows)
      return in_file(file, "metadata key \"tokenizer.ggml.tokens\": expected " +
                               std::to_string(rows) +
                               " entries (rows of token_embd.weight), found " +
                               std::to_string(tokens.size()));
  }
  return static_cast<int32_t>(rows);
}

}  // namespace

Result<ModelConfig> read_model_config(const formats::GgufFile& file) {
  ModelConfig config;
  SWARM_TRY(const std::string_view architecture, file.text("general.architecture"));
  if (architecture != "qwen3moe" && architecture != "qwen3")
    return unsupported(file.name() + ": architecture \"" + std::string(architecture) +
                       "\" is not supported; expected \"qwen3moe\" or \"qwen3\"");
  config.architecture = architecture;
  if (file.has("general.name")) {
    SWARM_TRY(const std::string_view name, file.text("general.name"));
    config.name = name;
  }
  const Reader keys(file, config.architecture);
  SWARM_TRY(config.layers, keys.integer("block_count", {1, kLayersMax}));
  SWARM_TRY(config.hidden, keys.integer("embedding_length", {1, kWidthMax}));
  SWARM_TRY(config.context, keys.integer("context_length", {2, kContextMax}));
  SWARM_TRY_VOID(read_attention(file, keys, config));
  SWARM_TRY_VOID(read_rope(file, keys, config));
  SWARM_TRY_VOID(read_feed_forward(keys, config));
  SWARM_TRY(config.vocab, read_vocab(file));
  config.tied_head = file.find_tensor("output.weight") == nullptr;
  SWARM_TRY_VOID(check_tensors(file, config));
  return config;
}

}  // namespace swarm::engine::model
