// engine/kernels/host_kernels.h — What the backends in host memory share: weights are used where
// the file has them, activations are plain arrays, and the batch is read where the caller has it.
#pragma once

#include <memory>

#include "engine/kernels/kernels.h"

namespace swarm::engine::kernels {

class HostKernels : public Kernels {
 public:
  Memory& memory() final { return *memory_; }
  const Footprint& footprint() const final { return host_footprint(); }
  Result<void> start(const KernelLimits&) final { return {}; }
  Weight place(const Weight& weight, std::byte*) final { return weight; }
  void begin(const Batch& batch) final { batch_ = batch; }
  void rope_angles(const RopeAngles& args) final;
  void gather_wanted(const float* x, int32_t width, float* out) final;
  void sample(float* logits, int32_t stride, std::span<const SampleJob> jobs,
              std::span<Sampled> sampled) final;

 protected:
  const Batch& batch() const { return batch_; }

 private:
  std::unique_ptr<Memory> memory_ = make_host_memory();
  Batch batch_;
};

}  // namespace swarm::engine::kernels
