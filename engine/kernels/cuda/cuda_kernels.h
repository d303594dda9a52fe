// engine/kernels/cuda/cuda_kernels.h — The ops of kernels.h on a device: owns the device, one
// stream, the arena with weights, KV and scratch, and launches the kernels of this folder on it.
// The same class drives a card (kernels by nvcc) and host memory (kernels in the emulator): the
// executable links one of the two kernel libraries. One thread.
//
// Calls only enqueue; sample() and memory().read wait. A refused launch or a fault loses the
// device: the next wait throws ErrorException{environment} with the reason, and so does begin().
#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "engine/base/error.h"
#include "engine/device/device.h"
#include "engine/kernels/kernels.h"

namespace swarm::engine::kernels::cuda {

struct CudaOptions {
  // Every op through the one kernel whose bits do not depend on the batch; costs speed.
  bool deterministic = false;
  uint64_t reserve_bytes = 0;          // of device memory, left free for the driver
  // Our own kernels alone, the same on every card: what differs otherwise is a library's.
  bool portable = false;
  // Rows from which f16 and bf16 products go to the library (blas_products.h); nullopt = kBlasRows
  // on a card, never on the host. 0 = never.
  std::optional<int32_t> blas_rows = {};
};

Result<std::unique_ptr<Kernels>> open_cuda_kernels(std::unique_ptr<device::Device> device,
                                                   const CudaOptions& options);

}  // namespace swarm::engine::kernels::cuda
