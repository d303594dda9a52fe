// Kernels of Q4_0, Q4_1, Q5_0 and Q5_1.
#include "engine/kernels/cuda/matmul/gemm_integer.h"
#include "engine/kernels/cuda/matmul/gemv.h"
#include "engine/kernels/cuda/weights/embed.h"
#include "engine/kernels/cuda/weights/weight_kernels.h"

namespace swarm::engine::kernels::cuda {

WeightKernels q4_0_kernels() {
  return {launch_gemv<WeightType::q4_0>, launch_gemm_integer<WeightType::q4_0>,
          launch_embed<WeightType::q4_0>};
}
WeightKernels q4_1_kernels() {
  return {launch_gemv<WeightType::q4_1>, launch_gemm_integer<WeightType::q4_1>,
          launch_embed<WeightType::q4_1>};
}
WeightKernels q5_0_kernels() {
  return {launch_gemv<WeightType::q5_0>, launch_gemm_integer<WeightType::q5_0>,
          launch_embed<WeightType::q5_0>};
}
WeightKernels q5_1_kernels() {
  return {launch_gemv<WeightType::q5_1>, launch_gemm_integer<WeightType::q5_1>,
          launch_embed<WeightType::q5_1>};
}

}  // namespace swarm::engine::kernels::cuda
