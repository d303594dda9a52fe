// engine/model/model_config.h — The shape of a qwen3moe or qwen3 model, read from GGUF keys.
// A plain value; immutable after reading. Keys: reference/engine.md sections 5.1 and 13.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/error.h"
#include "engine/formats/gguf.h"

namespace swarm::engine::model {

// Positions stretched beyond the context of the training; original_context 0: they are not.
struct Yarn {
  float factor = 1;              // the context grows by
  int32_t original_context = 0;  // tokens
  float beta_fast = 32;          // turns within it from which a pair keeps its frequency
  float beta_slow = 1;           // turns below which its frequency is divided by factor
  float attention_factor = 1;    // of cos and sin, besides 0.1 ln factor + 1
};

struct ModelConfig {
  std::string architecture;      // "qwen3moe" or "qwen3"
  std::string name;              // general.name, may be empty
  int32_t layers = 0;
  int32_t hidden = 0;
  int32_t heads = 0;
  int32_t kv_heads = 0;
  int32_t head_dim = 0;          // key_length == value_length; even
  int32_t ffn = 0;               // dense FFN width (qwen3)
  int32_t experts = 0;           // 0 = dense
  int32_t experts_used = 0;
  int32_t expert_ffn = 0;
  int32_t vocab = 0;
  int32_t context = 0;           // tokens; with YaRN at least the stretched context
  float rms_eps = 1e-6f;
  float rope_theta = 1e6f;
  Yarn yarn;
  bool tied_head = false;        // no output.weight: token_embd is the head
};

// Reads and checks every key; an unknown architecture is refused by name.
Result<ModelConfig> read_model_config(const formats::GgufFile& file);

}  // namespace swarm::engine::model
