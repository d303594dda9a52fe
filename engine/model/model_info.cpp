#include "engine/model/model_info.h"

#include <algorithm>
#include <map>

namespace swarm::engine::model {
namespace {

using formats::TensorView;

// The three stacks of experts; the router is small and read whole.
bool is_expert_stack(const TensorView& tensor) { return tensor.name.ends_with("_exps.weight"); }

// The share of the tensor that one token uses.
uint64_t used_share(const TensorView& tensor, const ModelConfig& config, uint64_t whole) {
  if (!is_expert_stack(tensor)) return whole;
  return whole / static_cast<uint64_t>(config.experts) *
         static_cast<uint64_t>(config.experts_used);
}

}  // namespace

Result<ModelInfo> read_model_info(const formats::GgufFile& file) {
  ModelInfo info;
  SWARM_TRY(info.config, read_model_config(file));
  const ModelConfig& c = info.config;
  std::map<formats::TensorType, TypeUse> types;
  for (const TensorView& tensor : file.tensors()) {
    const uint64_t elements = tensor.elements(), bytes = tensor.data.size();
    info.parameters += elements;
    info.active_parameters += used_share(tensor, c, elements);
    info.weight_bytes += bytes;
    const bool one_row = tensor.name == "token_embd.weight" && !c.tied_head;
    info.bytes_per_token += one_row ? tensor.row_bytes() : used_share(tensor, c, bytes);
    // A tied embedding is the head, read whole, and gives one row besides.
    if (tensor.name == "token_embd.weight" && c.tied_head)
      info.bytes_per_token += tensor.row_bytes();
    TypeUse& use = types[tensor.type];
    use.name = formats::find_block_type(tensor.type)->name;
    use.tensors += 1;
    use.parameters += elements;
    use.bytes += bytes;
  }
  info.tensors = file.tensors().size();
  info.file_bytes = file.file_bytes();
  constexpr uint64_t kF16Bytes = 2, kKeysAndValues = 2;
  info.kv_bytes_per_token = kKeysAndValues * kF16Bytes * static_cast<uint64_t>(c.layers) *
                            static_cast<uint64_t>(c.kv_heads) * static_cast<uint64_t>(c.head_dim);
  for (const auto& [type, use] : types) info.types.push_back(use);
  std::ranges::stable_sort(info.types, std::ranges::greater{}, &TypeUse::bytes);
  return info;
}

}  // namespace swarm::engine::model
