// engine/kernels/cuda/elementwise.h — The small ops between the matrix products: norm, residual
// add, rotary angles, and the rows that become logits. Semantics: kernels/kernels.h.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/batch.h"
#include "engine/kernels/cuda/simt/stream.h"

namespace swarm::engine::kernels::cuda {

// out[r, j] = x[r, j] * weight[j] / sqrt(mean(x[r]^2) + eps). The bits depend on the row alone.
// With delta, first x += delta, in place: the same bits as add() and then the norm, in one pass.
struct RmsNormArgs {
  const float* x = nullptr;            // [rows, hidden]
  const float* weight = nullptr;       // [hidden]
  float* out = nullptr;                // [rows, hidden]
  int64_t rows = 0;
  int32_t hidden = 0;
  float eps = 0;
  float* residual = nullptr;           // x, where it is added to
  const float* delta = nullptr;        // [rows, hidden]; null: nothing is added
};
simt::Status rms_norm(simt::Stream stream, const RmsNormArgs& args);

struct AddArgs {
  float* residual = nullptr;           // [count], added to
  const float* delta = nullptr;        // [count]
  int64_t count = 0;
};
simt::Status add(simt::Stream stream, const AddArgs& args);

// gate[i] = silu(gate[i]) * up[i]: where gate and up have different weight types and cannot share a
// product (matmul.h fuses it otherwise).
struct SiluMulArgs {
  float* gate = nullptr;               // [count]
  const float* up = nullptr;           // [count]
  int64_t count = 0;
};
simt::Status silu_mul(simt::Stream stream, const SiluMulArgs& args);

// factor * cos, sin of positions[r] * inv_freq[j]; in double, then rounded.
struct RopeAnglesArgs {
  const double* inv_freq = nullptr;    // [half]
  double factor = 1;
  float* cos = nullptr;                // [rows, half]
  float* sin = nullptr;
  int32_t half = 0;
  BatchView batch;
};
simt::Status rope_angles(simt::Stream stream, const RopeAnglesArgs& args);

// out[i] = x[wanted[i]].
struct GatherWantedArgs {
  const float* x = nullptr;            // [rows, width]
  float* out = nullptr;                // [wanted_count, width]
  int32_t width = 0;
  BatchView batch;
};
simt::Status gather_wanted(simt::Stream stream, const GatherWantedArgs& args);

}  // namespace swarm::engine::kernels::cuda
