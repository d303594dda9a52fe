// Kernels of plain numbers.
#include "engine/kernels/cuda/embed.h"
#include "engine/kernels/cuda/gemv.h"
#include "engine/kernels/cuda/weight_kernels.h"

namespace swarm::engine::kernels::cuda {

WeightKernels f32_kernels() {
  return {launch_gemv<WeightType::f32>, nullptr, launch_embed<WeightType::f32>};
}
WeightKernels f16_kernels() {
  return {launch_gemv<WeightType::f16>, nullptr, launch_embed<WeightType::f16>};
}
WeightKernels bf16_kernels() {
  return {launch_gemv<WeightType::bf16>, nullptr, launch_embed<WeightType::bf16>};
}
WeightKernels fp8_kernels() {
  return {launch_gemv<WeightType::fp8>, nullptr, launch_embed<WeightType::fp8>};
}

}  // namespace swarm::engine::kernels::cuda
