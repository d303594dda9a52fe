// Kernels of Q2_K and Q3_K.
#include "engine/kernels/cuda/matmul/gemm_integer.h"
#include "engine/kernels/cuda/matmul/gemv.h"
#include "engine/kernels/cuda/weights/embed.h"
#include "engine/kernels/cuda/weights/weight_kernels.h"

namespace swarm::engine::kernels::cuda {

WeightKernels q2_k_kernels() {
  return {launch_gemv<WeightType::q2_k>, launch_gemm_integer<WeightType::q2_k>,
          launch_embed<WeightType::q2_k>};
}
WeightKernels q3_k_kernels() {
  return {launch_gemv<WeightType::q3_k>, launch_gemm_integer<WeightType::q3_k>,
          launch_embed<WeightType::q3_k>};
}

}  // namespace swarm::engine::kernels::cuda
