// Kernels of Q8_0 and of the types with 16 levels.
#include "engine/kernels/cuda/matmul/gemm_integer.h"
#include "engine/kernels/cuda/matmul/gemv.h"
#include "engine/kernels/cuda/weights/embed.h"
#include "engine/kernels/cuda/weights/weight_kernels.h"

namespace swarm::engine::kernels::cuda {

WeightKernels q8_0_kernels() {
  return {launch_gemv<WeightType::q8_0>, launch_gemm_integer<WeightType::q8_0>,
          launch_embed<WeightType::q8_0>};
}
WeightKernels iq4_nl_kernels() {
  return {launch_gemv<WeightType::iq4_nl>, launch_gemm_integer<WeightType::iq4_nl>,
          launch_embed<WeightType::iq4_nl>};
}
WeightKernels iq4_xs_kernels() {
  return {launch_gemv<WeightType::iq4_xs>, launch_gemm_integer<WeightType::iq4_xs>,
          launch_embed<WeightType::iq4_xs>};
}
WeightKernels mxfp4_kernels() {
  return {launch_gemv<WeightType::mxfp4>, launch_gemm_integer<WeightType::mxfp4>,
          launch_embed<WeightType::mxfp4>};
}

}  // namespace swarm::engine::kernels::cuda
