// engine/model/model_info.h — What a model costs: parameters, bytes by tensor type, bytes read per
// decoded token, memory for a context. Read from the tensor table alone; no weight is touched.
// Plain values; thread-safe.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "engine/base/error.h"
#include "engine/formats/gguf.h"
#include "engine/model/model_config.h"

namespace swarm::engine::model {

struct TypeUse {
  std::string_view name;     // "Q4_K"
  uint64_t tensors = 0;
  uint64_t parameters = 0;
  uint64_t bytes = 0;
};

struct ModelInfo {
  ModelConfig config;
  uint64_t tensors = 0;
  uint64_t parameters = 0;
  uint64_t active_parameters = 0;   // without the experts that a token does not use
  uint64_t weight_bytes = 0;
  uint64_t bytes_per_token = 0;     // weights read for one decoded token: of the embedding one row
  uint64_t kv_bytes_per_token = 0;  // f16 keys and values, all layers
  uint64_t file_bytes = 0;
  std::vector<TypeUse> types;       // most bytes first
};

Result<ModelInfo> read_model_info(const formats::GgufFile& file);

}  // namespace swarm::engine::model
