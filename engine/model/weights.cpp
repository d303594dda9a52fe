#include "engine/model/weights.h"

#include <string>

namespace swarm::engine::model {
namespace {

using formats::TensorView;
using kernels::ExpertWeights;
using kernels::Weight;

std::string shape_text(std::span<const uint64_t> dims) {
  std::string text;
  for (const uint64_t dim : dims) text += (text.empty() ? "" : " x ") + std::to_string(dim);
  return text;
}

class Binder {
 public:
  Binder(const formats::GgufFile& file, const ModelConfig& config,
         const kernels::Footprint& backend)
      : file_(file), config_(config), backend_(backend) {}

  Result<Weights> bind() {
    Weights weights;
    const auto hidden = config_.hidden;
    SWARM_TRY(weights.embedding, matrix("token_embd.weight", config_.vocab, hidden));
    if (config_.tied_head) {
      weights.head = weights.embedding;
    } else {
      SWARM_TRY(weights.head, matrix("output.weight", config_.vocab, hidden));
    }
    SWARM_TRY(weights.output_norm, vector("output_norm.weight", hidden));
    for (int32_t i = 0; i < config_.layers; ++i) {
      SWARM_TRY(auto layer, bind_layer("blk." + std::to_string(i) + "."));
      weights.layers.push_back(std::move(layer));
    }
    weights.bytes = bytes_;
    // Embedding: one row. The head is read whole, also when it is the embedding.
    weights.bytes_per_token = per_token_ - weights.embedding.bytes() + weights.embedding.row_bytes +
                              (config_.tied_head ? weights.head.bytes() : 0);
    return weights;
  }

 private:
  Result<LayerWeights> bind_layer(const std::string& prefix) {
    LayerWeights layer;
    const auto& c = config_;
    SWARM_TRY(layer.attn_norm, vector(prefix + "attn_norm.weight", c.hidden));
    SWARM_TRY(layer.ffn_norm, vector(prefix + "ffn_norm.weight", c.hidden));
    SWARM_TRY(layer.q_norm, vector(prefix + "attn_q_norm.weight", c.head_dim));
    SWARM_TRY(layer.k_norm, vector(prefix + "attn_k_norm.weight", c.head_dim));
    SWARM_TRY(layer.q, matrix(prefix + "attn_q.weight", c.heads * c.head_dim, c.hidden));
    SWARM_TRY(layer.k, matrix(prefix + "attn_k.weight", c.kv_heads * c.head_dim, c.hidden));
    SWARM_TRY(layer.v, matrix(prefix + "attn_v.weight", c.kv_heads * c.head_dim, c.hidden));
    SWARM_TRY(layer.output, matrix(prefix + "attn_output.weight", c.hidden, c.heads * c.head_dim));
    if (c.experts == 0) {
      SWARM_TRY(layer.gate, matrix(prefix + "ffn_gate.weight", c.ffn, c.hidden));
      SWARM_TRY(layer.up, matrix(prefix + "ffn_up.weight", c.ffn, c.hidden));
      SWARM_TRY(layer.down, matrix(prefix + "ffn_down.weight", c.hidden, c.ffn));
      return layer;
    }
    SWARM_TRY(layer.router, matrix(prefix + "ffn_gate_inp.weight", c.experts, c.hidden));
    SWARM_TRY_VOID(bind_experts(prefix, layer));
    return layer;
  }

  // Newer converters merge gate and up into one tensor, gate rows first (engine.md 5.2).
  Result<void> bind_experts(const std::string& prefix, LayerWeights& layer) {
    const auto& c = config_;
    const std::string merged = prefix + "ffn_gate_up_exps.weight";
    if (file_.find_tensor(merged)) {
      SWARM_TRY(auto both, experts(merged, 2 * c.expert_ffn, c.hidden));
      both.first.rows = c.expert_ffn;
      layer.expert_gate = both;
      layer.expert_up = both;
      layer.expert_up.first.data += both.first.bytes();
    } else {
      SWARM_TRY(layer.expert_gate,
                experts(prefix + "ffn_gate_exps.weight", c.expert_ffn, c.hidden));
      SWARM_TRY(layer.expert_up, experts(prefix + "ffn_up_exps.weight", c.expert_ffn, c.hidden));
    }
    SWARM_TRY(layer.expert_down, experts(prefix + "ffn_down_exps.weight", c.hidden, c.expert_ffn));
    return {};
  }

  Result<const TensorView*> tensor(const std::string& name, std::vector<uint64_t> dims) {
    const TensorView* view = file_.find_tensor(name);
    if (!view) return environment_error(file_.name() + ": tensor " + name + " is missing");
    // Trailing dimensions of 1 carry no meaning.
    std::vector<uint64_t> found = view->dims;
    while (found.size() > 1 && found.back() == 1) found.pop_back();
    while (dims.size() > 1 && dims.back() == 1) dims.pop_back();
    if (found != dims) {
      return environment_error(file_.name() + ": tensor " + name + ": expected shape " +
                               shape_text(dims) + ", found " + shape_text(found));
    }
    bytes_ += view->data.size();
    return view;
  }

  Result<void> check_type(const TensorView& view) const {
    auto fine = backend_.check_weight(view.type, view.name);
    if (!fine) return Error{fine.error().kind, file_.name() + ": " + fine.error().message};
    return {};
  }

  Result<Weight> matrix(const std::string& name, int32_t rows, int32_t cols) {
    SWARM_TRY(const TensorView* view,
              tensor(name, {static_cast<uint64_t>(cols), static_cast<uint64_t>(rows)}));
    SWARM_TRY_VOID(check_type(*view));
    per_token_ += view->data.size();
    return Weight{.type = view->type, .rows = rows, .cols = cols,
                  .row_bytes = static_cast<size_t>(view->row_bytes()), .data = view->data.data()};
  }

  Result<ExpertWeights> experts(const std::string& name, int32_t rows, int32_t cols) {
    SWARM_TRY(const TensorView* view,
              tensor(name, {static_cast<uint64_t>(cols), static_cast<uint64_t>(rows),
                            static_cast<uint64_t>(config_.experts)}));
    SWARM_TRY_VOID(check_type(*view));
    const Weight first{.type = view->type, .rows = rows, .cols = cols,
                       .row_bytes = static_cast<size_t>(view->row_bytes()),
                       .data = view->data.data()};
    per_token_ += first.bytes() * static_cast<uint64_t>(config_.experts_used);
    return ExpertWeights{.first = first, .count = config_.experts, .stride = first.bytes()};
  }

  Result<std::vector<float>> vector(const std::string& name, int32_t count) {
    SWARM_TRY(const TensorView* view, tensor(name, {static_cast<uint64_t>(count)}));
    std::vector<float> values(static_cast<size_t>(count));
    SWARM_TRY_VOID(formats::dequantize(view->type, view->data, values));
    per_token_ += view->data.size();
    return values;
  }

  const formats::GgufFile& file_;
  const ModelConfig& config_;
  const kernels::Footprint& backend_;
  uint64_t bytes_ = 0;
  uint64_t per_token_ = 0;
};

}  // namespace

Result<Weights> bind_weights(const formats::GgufFile& file, const ModelConfig& config,
                             const kernels::Footprint& backend) {
  return Binder(file, config, backend).bind();
}

}  // namespace swarm::engine::model
