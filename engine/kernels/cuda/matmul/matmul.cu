// Picks the kernels of a weight type and the family by size; launches nothing itself.
#include "engine/kernels/cuda/matmul/matmul.h"

#include "engine/kernels/cuda/weights/weight_kernels.h"

namespace swarm::engine::kernels::cuda {
namespace {

WeightKernels kernels_of(WeightType type) {
  switch (type) {
    case WeightType::f32: return f32_kernels();
    case WeightType::f16: return f16_kernels();
    case WeightType::bf16: return bf16_kernels();
    case WeightType::fp8: return fp8_kernels();
    case WeightType::q4_0: return q4_0_kernels();
    case WeightType::q4_1: return q4_1_kernels();
    case WeightType::q5_0: return q5_0_kernels();
    case WeightType::q5_1: return q5_1_kernels();
    case WeightType::q8_0: return q8_0_kernels();
    case WeightType::q2_k: return q2_k_kernels();
    case WeightType::q3_k: return q3_k_kernels();
    case WeightType::q4_k: return q4_k_kernels();
    case WeightType::q5_k: return q5_k_kernels();
    case WeightType::q6_k: return q6_k_kernels();
    case WeightType::iq2_xxs: return iq2_xxs_kernels();
    case WeightType::iq2_xs: return iq2_xs_kernels();
    case WeightType::iq2_s: return iq2_s_kernels();
    case WeightType::iq3_xxs: return iq3_xxs_kernels();
    case WeightType::iq3_s: return iq3_s_kernels();
    case WeightType::iq4_nl: return iq4_nl_kernels();
    case WeightType::iq4_xs: return iq4_xs_kernels();
    case WeightType::mxfp4: return mxfp4_kernels();
  }
  return {};
}

// Dense: four passes of gemv over weights in L2 beat half-empty tiles on few SMs. Routed: once the
// pairs outnumber half of the experts, many experts have several.
bool takes_gemv(const MatmulArgs& args) {
  constexpr int kDenseRows = 32;
  if (args.family != Family::by_size) return args.family == Family::gemv;
  if (args.expert_begin == nullptr) return args.rows <= kDenseRows;
  return args.rows <= 8 || args.rows <= args.experts / 2;
}

}  // namespace

simt::Status matmul(simt::Stream stream, const MatmulArgs& args) {
  if (args.rows == 0) return {};
  const WeightKernels kernels = kernels_of(args.weight.type);
  if (kernels.gemm == nullptr || takes_gemv(args)) return kernels.gemv(stream, args);
  return kernels.gemm(stream, args);
}

simt::Status embed(simt::Stream stream, const EmbedArgs& args) {
  if (args.rows == 0) return {};
  return kernels_of(args.table.type).embed(stream, args);
}

}  // namespace swarm::engine::kernels::cuda
