#include "engine/model/synth.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <span>
#include <utility>

#include "engine/base/check.h"
#include "engine/base/rng.h"
#include "engine/model/synth_blocks.h"
#include "engine/model/synth_vocabulary.h"

namespace swarm::engine::model {
namespace {

using formats::GgufBuilder;
using formats::TensorType;

struct Preset {
  std::string_view name;
  std::string_view architecture;
  std::string_view type;
  uint32_t layers, hidden, heads, kv_heads, head_dim, ffn;
  uint32_t experts, experts_used, expert_ffn;
  uint32_t context;
  float rope_theta;
  bool tied;
  Vocabulary vocabulary;
  SynthBlocks blocks;
};

// Row lengths are multiples of 256, so that every block type fits every matrix; no tiny model has
// eight experts, for which other quantizers have special rules.
constexpr std::array kPresets = {
    Preset{.name = "qwen3moe-tiny", .architecture = "qwen3moe", .type = "F32", .layers = 4,
           .hidden = 256, .heads = 8, .kv_heads = 2, .head_dim = 64, .ffn = 512, .experts = 6,
           .experts_used = 2, .expert_ffn = 256, .context = 32768, .rope_theta = 1e6f,
           .tied = false, .vocabulary = Vocabulary::small, .blocks = SynthBlocks::encoded},
    Preset{.name = "qwen3-tiny", .architecture = "qwen3", .type = "F32", .layers = 4,
           .hidden = 256, .heads = 4, .kv_heads = 2, .head_dim = 64, .ffn = 512, .experts = 0,
           .experts_used = 0, .expert_ffn = 0, .context = 32768, .rope_theta = 1e6f,
           .tied = true, .vocabulary = Vocabulary::small, .blocks = SynthBlocks::encoded},
    Preset{.name = "qwen3-30b-a3b", .architecture = "qwen3moe", .type = "Q4_K_M", .layers = 48,
           .hidden = 2048, .heads = 32, .kv_heads = 4, .head_dim = 128, .ffn = 6144,
           .experts = 128, .experts_used = 8, .expert_ffn = 768, .context = 262144,
           .rope_theta = 1e7f, .tied = false, .vocabulary = Vocabulary::qwen3,
           .blocks = SynthBlocks::direct},
};

constexpr float kNormSpread = 0.1f;    // norm weights are 1 +- 0.1
constexpr float kLogitSpread = 3.0f;   // standard deviation of the logits

Result<const Preset*> find_preset(std::string_view name) {
  const auto found = std::ranges::find(kPresets, name, &Preset::name);
  if (found != kPresets.end()) return &*found;
  const std::vector<std::string> names = synth_presets();
  const std::string near = did_you_mean(name, names);
  std::string all;
  for (const std::string& known : names) all += (all.empty() ? "" : ", ") + known;
  return invalid_input("unknown preset \"" + std::string(name) + "\"" +
                       (near.empty() ? "; known are " + all : "; did you mean \"" + near + "\"?"));
}

// general.file_type (reference/engine.md section 6.1).
uint32_t file_type(std::string_view type) {
  constexpr std::pair<std::string_view, uint32_t> kFileTypes[] = {
      {"F32", 0},   {"F16", 1},   {"Q4_0", 2},    {"Q4_1", 3},    {"Q8_0", 7},
      {"Q5_0", 8},  {"Q5_1", 9},  {"Q4_K", 14},   {"Q4_K_M", 15}, {"Q5_K", 16},
      {"Q5_K_M", 17}, {"Q6_K", 18}, {"BF16", 32}, {"MXFP4", 38},  {"MXFP4_MOE", 38},
      {"Q2_K", 10}, {"Q3_K", 11}, {"IQ2_XXS", 19}, {"IQ2_XS", 20}, {"IQ3_XXS", 23},
      {"IQ4_NL", 25}, {"IQ3_S", 26}, {"IQ2_S", 28}, {"IQ2_S_IQ3_S", 28}, {"IQ4_XS", 30}};
  for (const auto& [name, id] : kFileTypes)
    if (name == type) return id;
  return 0;
}

std::string upper_case(std::string_view text) {
  std::string out(text);
  for (char& c : out)
    if (c >= 'a' && c <= 'z') c = static_cast<char>(c - 'a' + 'A');
  return out;
}

struct Stopped : std::exception {};  // a stop was requested while the weights were made

class Maker {
 public:
  Maker(const Preset& preset, uint32_t layers, std::string type, uint64_t seed,
        std::stop_token stop)
      : p_(preset), layers_(layers), type_(std::move(type)), seed_(seed), stop_(std::move(stop)) {}

  Result<GgufBuilder> make(std::string name) {
    set_keys(std::move(name));
    const uint32_t vocab = set_vocabulary(p_.vocabulary, builder_);
    const float head = kLogitSpread / std::sqrt(static_cast<float>(p_.hidden));
    SWARM_TRY_VOID(matrix("token_embd", "embd", 0, {p_.hidden, vocab}, head));
    norm("output_norm", p_.hidden);
    if (!p_.tied) SWARM_TRY_VOID(matrix("output", "output", 0, {p_.hidden, vocab}, head));
    for (uint32_t layer = 0; layer < layers_; ++layer) SWARM_TRY_VOID(add_layer(layer));
    return std::move(builder_);
  }

 private:
  void set_keys(std::string name) {
    const auto key = [&](const char* tail) { return std::string(p_.architecture) + "." + tail; };
    builder_.set("general.architecture", std::string(p_.architecture));
    builder_.set("general.name", std::move(name));
    builder_.set("general.file_type", file_type(type_));
    builder_.set("general.quantization_version", uint32_t{2});
    builder_.set(key("block_count"), layers_);
    builder_.set(key("context_length"), p_.context);
    builder_.set(key("embedding_length"), p_.hidden);
    builder_.set(key("feed_forward_length"), p_.ffn);
    builder_.set(key("attention.head_count"), p_.heads);
    builder_.set(key("attention.head_count_kv"), p_.kv_heads);
    builder_.set(key("attention.key_length"), p_.head_dim);
    builder_.set(key("attention.value_length"), p_.head_dim);
    builder_.set(key("attention.layer_norm_rms_epsilon"), 1e-6f);
    builder_.set(key("rope.freq_base"), p_.rope_theta);
    if (p_.experts == 0) return;
    builder_.set(key("expert_count"), p_.experts);
    builder_.set(key("expert_used_count"), p_.experts_used);
    builder_.set(key("expert_feed_forward_length"), p_.expert_ffn);
  }

  Result<void> add_layer(uint32_t layer) {
    const std::string block = "blk." + std::to_string(layer) + ".";
    const uint32_t q_width = p_.heads * p_.head_dim, kv_width = p_.kv_heads * p_.head_dim;
    const auto add = [&](const char* part, std::vector<uint64_t> dims) {
      const float std_dev = 1.0f / std::sqrt(static_cast<float>(dims[0]));
      return matrix(block + part, part, layer, std::move(dims), std_dev);
    };
    norm(block + "attn_norm", p_.hidden);
    SWARM_TRY_VOID(add("attn_q", {p_.hidden, q_width}));
    SWARM_TRY_VOID(add("attn_k", {p_.hidden, kv_width}));
    SWARM_TRY_VOID(add("attn_v", {p_.hidden, kv_width}));
    norm(block + "attn_q_norm", p_.head_dim);
    norm(block + "attn_k_norm", p_.head_dim);
    SWARM_TRY_VOID(add("attn_output", {q_width, p_.hidden}));
    norm(block + "ffn_norm", p_.hidden);
    if (p_.experts == 0) {
      SWARM_TRY_VOID(add("ffn_gate", {p_.hidden, p_.ffn}));
      SWARM_TRY_VOID(add("ffn_up", {p_.hidden, p_.ffn}));
      return add("ffn_down", {p_.ffn, p_.hidden});
    }
    const float router = 1.0f / std::sqrt(static_cast<float>(p_.hidden));
    add_tensor(block + "ffn_gate_inp", {p_.hidden, p_.experts}, TensorType::f32,
               {.mean = 0.0f, .std_dev = router});
    SWARM_TRY_VOID(add("ffn_gate_exps", {p_.hidden, p_.expert_ffn, p_.experts}));
    SWARM_TRY_VOID(add("ffn_up_exps", {p_.hidden, p_.expert_ffn, p_.experts}));
    return add("ffn_down_exps", {p_.expert_ffn, p_.hidden, p_.experts});
  }

  Result<void> matrix(std::string name, std::string_view part, uint32_t layer,
                      std::vector<uint64_t> dims, float std_dev) {
    SWARM_TRY(const TensorType type,
              type_in_mix(type_, part, static_cast<int32_t>(layer), static_cast<int32_t>(layers_)));
    add_tensor(std::move(name), std::move(dims), type, {.mean = 0.0f, .std_dev = std_dev});
    return {};
  }

  // Norms and the router stay F32 in every published mix.
  void norm(std::string name, uint64_t width) {
    add_tensor(std::move(name), {width}, TensorType::f32, {.mean = 1.0f, .std_dev = kNormSpread});
  }

  // Every tensor has its own random stream, so it does not depend on what was made before it.
  void add_tensor(std::string name, std::vector<uint64_t> dims, TensorType type, Bell bell) {
    name += ".weight";
    const uint64_t seed = mix_seed(seed_, hash_text(name));
    uint64_t elements = 1;
    for (const uint64_t dim : dims) elements *= dim;
    const auto make = [type, elements, bell, blocks = p_.blocks, seed, stop = stop_] {
      if (stop.stop_requested()) throw Stopped();
      Rng rng(seed);
      return random_tensor(type, elements, bell, blocks, rng);
    };
    builder_.add_lazy_tensor(std::move(name), std::move(dims), type, make);
  }

  const Preset& p_;
  uint32_t layers_;
  std::string type_;
  uint64_t seed_;
  std::stop_token stop_;
  GgufBuilder builder_;
};

// The layers that mixes of size M give more bits.
bool is_favoured(int32_t layer, int32_t layers) {
  return layer < layers / 8 || layer >= 7 * layers / 8 || (layer - layers / 8) % 3 == 2;
}

}  // namespace

std::vector<std::string> synth_presets() {
  std::vector<std::string> names;
  for (const Preset& preset : kPresets) names.emplace_back(preset.name);
  return names;
}

std::span<const std::string_view> synth_mixes() {
  static constexpr std::string_view kMixes[] = {"Q4_K_M", "Q5_K_M", "IQ2_S_IQ3_S", "MXFP4_MOE",
                                                "FP8"};
  return kMixes;
}

Result<TensorType> type_in_mix(std::string_view mix, std::string_view part, int32_t layer,
                               int32_t layers) {
  const bool end = part == "embd" || part == "output";   // attn_output has its full name
  if (mix == "Q4_K_M" || mix == "Q5_K_M") {
    const bool wide = part == "attn_v" || part == "ffn_down" || part == "ffn_down_exps";
    if (part == "output" || (wide && is_favoured(layer, layers))) return TensorType::q6_k;
    return mix == "Q4_K_M" ? TensorType::q4_k : TensorType::q5_k;
  }
  if (mix == "IQ2_S_IQ3_S") {
    if (end) return TensorType::q6_k;
    if (part.starts_with("attn")) return TensorType::q4_k;
    return part.starts_with("ffn_down") ? TensorType::iq3_s : TensorType::iq2_s;
  }
  if (mix == "MXFP4_MOE") {
    return part.ends_with("_exps") ? TensorType::mxfp4 : TensorType::q8_0;
  }
  if (mix == "FP8") return end ? TensorType::bf16 : TensorType::fp8;
  SWARM_TRY(const formats::BlockType* type, formats::block_type_by_name(mix));
  // Q8_1 and Q8_K hold activations, not weights.
  const auto weights = [](const formats::BlockType& t) {
    return t.encodable && t.type != TensorType::q8_1 && t.type != TensorType::q8_k;
  };
  if (weights(*type)) return type->type;
  std::string known;
  for (const std::string_view name : synth_mixes()) known += std::string(name) + ", ";
  for (const formats::BlockType& other : formats::block_types()) {
    if (weights(other) && other.type != TensorType::fp8) known += std::string(other.name) + ", ";
  }
  known.resize(known.size() - 2);
  return unsupported("cannot make weights of type " + std::string(type->name) +
                     "; expected one of " + known);
}

std::string synth_source(const SynthSpec& spec) {
  std::string source = "synth:" + spec.preset;
  if (!spec.type.empty() || spec.layers > 0) source += ":" + upper_case(spec.type);
  if (spec.layers > 0) source += ":" + std::to_string(spec.layers);
  return source;
}

namespace {

Result<GgufBuilder> build(const SynthSpec& spec, std::stop_token stop) {
  SWARM_TRY(const Preset* preset, find_preset(spec.preset));
  if (spec.layers < 0 || spec.layers > 1024)
    return invalid_input("expected 1 to 1024 layers, found " + std::to_string(spec.layers));
  const uint32_t layers =
      spec.layers == 0 ? preset->layers : static_cast<uint32_t>(spec.layers);
  const std::string type = spec.type.empty() ? std::string(preset->type) : upper_case(spec.type);
  Maker maker(*preset, layers, type, spec.seed, std::move(stop));
  return maker.make(std::string(preset->name) + " " + type + ", random weights, seed " +
                    std::to_string(spec.seed));
}

}  // namespace

Result<GgufBuilder> build_synthetic(const SynthSpec& spec) { return build(spec, {}); }

Result<std::shared_ptr<const formats::GgufFile>> make_synthetic(const SynthSpec& spec,
                                                                const std::stop_token& stop) {
  SWARM_TRY(GgufBuilder builder, build(spec, stop));
  try {
    return builder.finish(synth_source(spec));
  } catch (const Stopped&) {
    return Error{ErrorKind::cancelled, synth_source(spec) + ": making the weights was stopped"};
  }
}

}  // namespace swarm::engine::model
