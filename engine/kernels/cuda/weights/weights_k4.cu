// Kernels of Q4_K and Q5_K.
#include "engine/kernels/cuda/matmul/gemm_integer.h"
#include "engine/kernels/cuda/matmul/gemv.h"
#include "engine/kernels/cuda/weights/embed.h"
#include "engine/kernels/cuda/weights/weight_kernels.h"

namespace swarm::engine::kernels::cuda {

WeightKernels q4_k_kernels() {
  return {launch_gemv<WeightType::q4_k>, launch_gemm_integer<WeightType::q4_k>,
          launch_embed<WeightType::q4_k>};
}
WeightKernels q5_k_kernels() {
  return {launch_gemv<WeightType::q5_k>, launch_gemm_integer<WeightType::q5_k>,
          launch_embed<WeightType::q5_k>};
}

}  // namespace swarm::engine::kernels::cuda
