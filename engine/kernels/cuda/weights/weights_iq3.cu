// Kernels of IQ3_XXS and IQ3_S.
#include "engine/kernels/cuda/matmul/gemm_integer.h"
#include "engine/kernels/cuda/matmul/gemv.h"
#include "engine/kernels/cuda/weights/embed.h"
#include "engine/kernels/cuda/weights/weight_codec_iq.h"
#include "engine/kernels/cuda/weights/weight_kernels.h"

namespace swarm::engine::kernels::cuda {

WeightKernels iq3_xxs_kernels() {
  return {launch_gemv<WeightType::iq3_xxs>, launch_gemm_integer<WeightType::iq3_xxs>,
          launch_embed<WeightType::iq3_xxs>};
}
WeightKernels iq3_s_kernels() {
  return {launch_gemv<WeightType::iq3_s>, launch_gemm_integer<WeightType::iq3_s>,
          launch_embed<WeightType::iq3_s>};
}

}  // namespace swarm::engine::kernels::cuda
