// engine/model/weights.h — The tensors of a qwen3moe or qwen3 file as typed weight views.
// Views point into the model file, which must outlive them; nothing is copied. Every name, shape
// and type is checked here, so that the forward pass needs no checks. Tensor names:
// reference/engine.md section 5.2.
#pragma once

#include <cstdint>
#include <vector>

#include "engine/base/error.h"
#include "engine/formats/gguf.h"
#include "engine/kernels/kernels.h"
#include "engine/model/model_config.h"

namespace swarm::engine::model {

struct LayerWeights {
  std::vector<float> attn_norm, ffn_norm, q_norm, k_norm;   // decoded: a few KiB
  kernels::Weight q, k, v, output;
  // Dense (config.experts == 0):
  kernels::Weight gate, up, down;
  // Mixture of experts:
  kernels::Weight router;
  kernels::ExpertWeights expert_gate, expert_up, expert_down;
};

struct Weights {
  kernels::Weight embedding;       // [vocab, hidden]
  kernels::Weight head;            // [vocab, hidden]; the embedding when tied
  std::vector<float> output_norm;
  std::vector<LayerWeights> layers;
  uint64_t bytes = 0;              // of all tensors used, each counted once
  uint64_t bytes_per_token = 0;    // read to decode one token; experts: the chosen ones only
};

// A missing tensor, a wrong shape or a type that the backend cannot multiply with is an error that
// names the tensor. Norms are decoded here, so any decodable type will do for them.
Result<Weights> bind_weights(const formats::GgufFile& file, const ModelConfig& config,
                             const kernels::Footprint& backend);

}  // namespace swarm::engine::model
