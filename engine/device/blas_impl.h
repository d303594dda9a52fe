// engine/device/blas_impl.h — Shared by the two Blas backends: a checked call with plain pointers.
// Private to this folder.
#pragma once

#include "engine/device/blas.h"

namespace swarm::engine::device {

struct DenseGemm {
  GemmInput input;
  GemmOutput output;
  int64_t tokens, rows, cols;
  const uint16_t* x;
  const uint16_t* weight;
  float* y;
  int64_t x_stride, weight_stride, y_stride;   // never 0
};

// Fills in the strides; stops on shapes that do not fit their spans.
DenseGemm check(const GemmArgs& args);

// In builds without CUDA: an error.
Result<std::unique_ptr<Blas>> open_cublas(Device& device, Stream& stream,
                                          DeviceSpan<std::byte> workspace);

}  // namespace swarm::engine::device
