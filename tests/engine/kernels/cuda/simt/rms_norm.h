// tests/engine/kernels/cuda/simt/rms_norm.h — The example kernel: what a kernel header looks like.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/prim/types.h"
#include "engine/kernels/cuda/simt/stream.h"

namespace swarm::test {

// y[t, :] = x[t, :] * weight / sqrt(mean(x[t, :]^2) + eps), f32 inside.
struct RmsNormArgs {
  const prim::bf16* x = nullptr;       // [tokens, hidden], rows row_stride elements apart
  const float* weight = nullptr;       // [hidden]
  prim::bf16* y = nullptr;             // [tokens, hidden], dense
  int64_t row_stride = 0;
  int64_t tokens = 0;
  int32_t hidden = 0;
  float eps = 0;
};

simt::Status rms_norm(simt::Stream stream, const RmsNormArgs& args, int threads);

}  // namespace swarm::test
