#include "engine/model/placed_weights.h"

#include <span>

namespace swarm::engine::model {
namespace {

using kernels::ExpertWeights;
using kernels::Weight;

class Placer {
 public:
  Placer(kernels::Kernels& backend, std::byte* base)
      : footprint_(backend.footprint()), backend_(&backend), carver_(base) {}
  explicit Placer(const kernels::Footprint& footprint)      // only counts
      : footprint_(footprint), backend_(nullptr), carver_(nullptr) {}

  Weight matrix(const Weight& weight) {
    if (weight.data == nullptr) return weight;                  // not of this kind of layer
    std::byte* to = carver_.take_bytes(footprint_.placed_bytes(weight));
    return backend_ ? backend_->place(weight, to) : weight;
  }

  // Experts lie one behind the other; where the backend uses the file, nothing changes.
  ExpertWeights experts(const ExpertWeights& weights) {
    if (weights.count == 0) return weights;
    const size_t bytes = footprint_.placed_bytes(weights.first);
    if (bytes == 0) return weights;
    std::byte* to = carver_.take_bytes(bytes * static_cast<size_t>(weights.count));
    if (!backend_) return weights;
    ExpertWeights placed{.first = {}, .count = weights.count, .stride = bytes};
    for (int32_t e = 0; e < weights.count; ++e) {
      const Weight one = backend_->place(weights.expert(e), to + static_cast<size_t>(e) * bytes);
      if (e == 0) placed.first = one;
    }
    return placed;
  }

  const float* vector(const std::vector<float>& values) {
    float* to = carver_.take<float>(values.size());
    if (backend_) {
      backend_->memory().write(reinterpret_cast<std::byte*>(to), std::as_bytes(std::span(values)));
    }
    return to;
  }

  PlacedLayer layer(const LayerWeights& from) {
    return {.attn_norm = vector(from.attn_norm),
            .ffn_norm = vector(from.ffn_norm),
            .q_norm = vector(from.q_norm),
            .k_norm = vector(from.k_norm),
            .q = matrix(from.q),
            .k = matrix(from.k),
            .v = matrix(from.v),
            .output = matrix(from.output),
            .gate = matrix(from.gate),
            .up = matrix(from.up),
            .down = matrix(from.down),
            .router = matrix(from.router),
            .expert_gate = experts(from.expert_gate),
            .expert_up = experts(from.expert_up),
            .expert_down = experts(from.expert_down)};
  }

  size_t bytes() const { return carver_.bytes(); }

 private:
  const kernels::Footprint& footprint_;
  kernels::Kernels* backend_;            // null: only counts
  Carver carver_;
};

PlacedWeights lay_out_all(const Weights& weights, Placer& placer) {
  PlacedWeights placed;
  placed.embedding = placer.matrix(weights.embedding);
  const bool tied = weights.head.data == weights.embedding.data;
  placed.head = tied ? placed.embedding : placer.matrix(weights.head);
  placed.output_norm = placer.vector(weights.output_norm);
  for (const LayerWeights& layer : weights.layers) placed.layers.push_back(placer.layer(layer));
  return placed;
}

}  // namespace

void PlacedWeights::lay_out(const Weights& weights, kernels::Kernels& backend, std::byte* base) {
  Placer placer(backend, base);
  *this = lay_out_all(weights, placer);
}

size_t placed_bytes(const Weights& weights, const kernels::Footprint& footprint) {
  Placer placer(footprint);
  lay_out_all(weights, placer);
  return placer.bytes();
}

}  // namespace swarm::engine::model
