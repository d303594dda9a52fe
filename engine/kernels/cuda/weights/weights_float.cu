// Kernels of plain numbers. f32 is the type of routers and norms, whose products must be exact to
// f32 rounding: no tensor cores.
#include "engine/kernels/cuda/matmul/gemm_float.h"
#include "engine/kernels/cuda/matmul/gemv.h"
#include "engine/kernels/cuda/weights/embed.h"
#include "engine/kernels/cuda/weights/weight_kernels.h"

namespace swarm::engine::kernels::cuda {

WeightKernels f32_kernels() {
  return {launch_gemv<WeightType::f32>, nullptr, launch_embed<WeightType::f32>};
}
WeightKernels f16_kernels() {
  return {launch_gemv<WeightType::f16>, launch_gemm_float<WeightType::f16>,
          launch_embed<WeightType::f16>};
}
WeightKernels bf16_kernels() {
  return {launch_gemv<WeightType::bf16>, launch_gemm_float<WeightType::bf16>,
          launch_embed<WeightType::bf16>};
}
WeightKernels fp8_kernels() {
  return {launch_gemv<WeightType::fp8>, launch_gemm_float<WeightType::fp8>,
          launch_embed<WeightType::fp8>};
}

}  // namespace swarm::engine::kernels::cuda
