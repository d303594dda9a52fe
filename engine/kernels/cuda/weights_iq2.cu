// Kernels of IQ2_XXS, IQ2_XS and IQ2_S.
#include "engine/kernels/cuda/embed.h"
#include "engine/kernels/cuda/gemv.h"
#include "engine/kernels/cuda/weight_codec_iq.h"
#include "engine/kernels/cuda/weight_kernels.h"

namespace swarm::engine::kernels::cuda {

WeightKernels iq2_xxs_kernels() {
  return {launch_gemv<WeightType::iq2_xxs>, nullptr, launch_embed<WeightType::iq2_xxs>};
}
WeightKernels iq2_xs_kernels() {
  return {launch_gemv<WeightType::iq2_xs>, nullptr, launch_embed<WeightType::iq2_xs>};
}
WeightKernels iq2_s_kernels() {
  return {launch_gemv<WeightType::iq2_s>, nullptr, launch_embed<WeightType::iq2_s>};
}

}  // namespace swarm::engine::kernels::cuda
