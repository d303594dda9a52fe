// Kernels of Q6_K.
#include "engine/kernels/cuda/matmul/gemm_integer.h"
#include "engine/kernels/cuda/matmul/gemv.h"
#include "engine/kernels/cuda/weights/embed.h"
#include "engine/kernels/cuda/weights/weight_kernels.h"

namespace swarm::engine::kernels::cuda {

WeightKernels q6_k_kernels() {
  return {launch_gemv<WeightType::q6_k>, launch_gemm_integer<WeightType::q6_k>,
          launch_embed<WeightType::q6_k>};
}

}  // namespace swarm::engine::kernels::cuda
