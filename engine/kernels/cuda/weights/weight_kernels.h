// engine/kernels/cuda/weights/weight_kernels.h — The launch functions of one weight type, and where
// they come from: one function per type, defined in weights_*.cu. Private to matmul.cu and these
// files.
#pragma once

#include "engine/kernels/cuda/matmul/matmul.h"

namespace swarm::engine::kernels::cuda {

struct WeightKernels {
  simt::Status (*gemv)(simt::Stream, const MatmulArgs&);
  simt::Status (*gemm)(simt::Stream, const MatmulArgs&);   // null: gemv serves every size
  simt::Status (*embed)(simt::Stream, const EmbedArgs&);
};

WeightKernels f32_kernels();
WeightKernels f16_kernels();
WeightKernels bf16_kernels();
WeightKernels fp8_kernels();
WeightKernels q4_0_kernels();
WeightKernels q4_1_kernels();
WeightKernels q5_0_kernels();
WeightKernels q5_1_kernels();
WeightKernels q8_0_kernels();
WeightKernels q2_k_kernels();
WeightKernels q3_k_kernels();
WeightKernels q4_k_kernels();
WeightKernels q5_k_kernels();
WeightKernels q6_k_kernels();
WeightKernels iq2_xxs_kernels();
WeightKernels iq2_xs_kernels();
WeightKernels iq2_s_kernels();
WeightKernels iq3_xxs_kernels();
WeightKernels iq3_s_kernels();
WeightKernels iq4_nl_kernels();
WeightKernels iq4_xs_kernels();
WeightKernels mxfp4_kernels();

}  // namespace swarm::engine::kernels::cuda
