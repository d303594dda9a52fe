#include "engine/kernels/cuda/cuda_footprint.h"

#include <string>

#include "engine/base/check.h"
#include "engine/kernels/cuda/attention/attention.h"
#include "engine/kernels/cuda/attention/rope_append.h"
#include "engine/kernels/cuda/moe_route.h"
#include "engine/kernels/cuda/sampling/sampling.h"
#include "engine/kernels/cuda/scratch.h"
#include "engine/kernels/cuda/weights/place_weights.h"
#include "engine/kernels/kernels.h"

namespace swarm::engine::kernels::cuda {
namespace {

Result<void> at_most(const char* what, int32_t found, int32_t most) {
  if (found <= most) return {};
  return unsupported(std::string(what) + ": expected at most " + std::to_string(most) +
                     " on CUDA devices, found " + std::to_string(found) +
                     "; engine.device cpu has no such limit");
}

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

  Result<void> check_limits(const KernelLimits& limits) const override {
    static_assert(kAttentionHeadDimMax == kHeadDimMax);
    SWARM_TRY_VOID(at_most("head size of the model", limits.head_dim, kHeadDimMax));
    SWARM_TRY_VOID(at_most("experts of the model", limits.experts, kExpertsMax));
    SWARM_TRY_VOID(at_most("vocabulary of the model", limits.vocab, kSampleVocabMax));
    return at_most("engine.context_max", limits.context, kAttentionContextMax);
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
