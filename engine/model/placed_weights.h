// engine/model/placed_weights.h — The weights of a model where a backend wants them: matrices in
// its memory (or where the file has them), norms beside them as f32. Plain views; the memory of the
// backend and, on the CPU, the model file outlive them.
#pragma once

#include <cstddef>
#include <vector>

#include "engine/kernels/kernels.h"
#include "engine/model/weights.h"

namespace swarm::engine::model {

// Cuts one block of memory into aligned pieces; with a null base it only counts.
class Carver {
 public:
  explicit Carver(std::byte* base) : base_(base) {}

  std::byte* take_bytes(size_t bytes) {
    std::byte* piece = base_ ? base_ + used_ : nullptr;
    constexpr size_t kAlignment = device::kAlignment;
    used_ += (bytes + kAlignment - 1) / kAlignment * kAlignment;
    return piece;
  }
  template <class T>
  T* take(size_t count) {
    return reinterpret_cast<T*>(take_bytes(count * sizeof(T)));
  }
  size_t bytes() const { return used_; }

 private:
  std::byte* base_;
  size_t used_ = 0;
};

struct PlacedLayer {
  const float* attn_norm = nullptr;
  const float* ffn_norm = nullptr;
  const float* q_norm = nullptr;
  const float* k_norm = nullptr;
  kernels::Weight q, k, v, output;
  kernels::Weight gate, up, down;                               // dense
  kernels::Weight router;                                       // mixture of experts
  kernels::ExpertWeights expert_gate, expert_up, expert_down;
};

struct PlacedWeights {
  kernels::Weight embedding, head;
  const float* output_norm = nullptr;
  std::vector<PlacedLayer> layers;

  // Copies everything to `base`, where placed_bytes() are.
  void lay_out(const Weights& weights, kernels::Kernels& backend, std::byte* base);
};

// What lay_out() writes on a backend, counted without one.
size_t placed_bytes(const Weights& weights, const kernels::Footprint& footprint);

}  // namespace swarm::engine::model
