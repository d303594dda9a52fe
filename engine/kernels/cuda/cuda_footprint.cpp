#include "engine/kernels/cuda/cuda_footprint.h"

#include "engine/base/check.h"
#include "engine/kernels/cuda/scratch.h"
#include "engine/kernels/cuda/weights/place_weights.h"
#include "engine/kernels/kernels.h"

namespace swarm::engine::kernels::cuda {
namespace {

class CudaFootprint final : public Footprint {
 public:
  Result<void> check_weight(formats::TensorType type,
                            std::string_view tensor_name) const override {
    if (weight_type(type)) return {};
    return unsupported_weight(type, tensor_name, "CUDA devices",
                              [](const formats::BlockType& known) {
                                return weight_type(known.type).has_value();
                              });
  }

  size_t placed_bytes(const Weight& weight) const override {
    const auto type = weight_type(weight.type);
    SWARM_CHECK(type.has_value(), static_cast<int>(weight.type));
    return cuda::placed_bytes(*type, weight.rows, weight.cols);
  }

  void plan(const KernelLimits& limits, device::ArenaPlan& plan) const override {
    Scratch unused;
    each_scratch_region(limits, unused, [&](const char* name, auto*& place, size_t count) {
      plan.add(name, count, sizeof(*place));
    });
  }
};

}  // namespace

const Footprint& cuda_footprint() {
  static const CudaFootprint footprint;
  return footprint;
}

}  // namespace swarm::engine::kernels::cuda
