// Kernels of IQ2_XXS, IQ2_XS and IQ2_S.
#include "engine/kernels/cuda/matmul/gemm_integer.h"
#include "engine/kernels/cuda/matmul/gemv.h"
#include "engine/kernels/cuda/weights/embed.h"
#include "engine/kernels/cuda/weights/weight_codec_iq.h"
#include "engine/kernels/cuda/weights/weight_kernels.h"

namespace swarm::engine::kernels::cuda {

WeightKernels iq2_xxs_kernels() {
  return {launch_gemv<WeightType::iq2_xxs>, launch_gemm_integer<WeightType::iq2_xxs>,
          launch_embed<WeightType::iq2_xxs>};
}
WeightKernels iq2_xs_kernels() {
  return {launch_gemv<WeightType::iq2_xs>, launch_gemm_integer<WeightType::iq2_xs>,
          launch_embed<WeightType::iq2_xs>};
}
WeightKernels iq2_s_kernels() {
  return {launch_gemv<WeightType::iq2_s>, launch_gemm_integer<WeightType::iq2_s>,
          launch_embed<WeightType::iq2_s>};
}

}  // namespace swarm::engine::kernels::cuda
