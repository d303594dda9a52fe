// engine/kernels/cuda/batch_stage.h — Carries the description of a batch to the device: one
// page-locked block, one copy, reused when the copy before is done. Borrows the stream. One thread.
#pragma once

#include <cstdint>

#include "engine/device/device.h"
#include "engine/kernels/cuda/batch.h"
#include "engine/kernels/kernels.h"

namespace swarm::engine::kernels::cuda {

// What the host knows of the batch in hand.
struct BatchShape {
  int32_t rows = 0;
  int32_t longest_span = 0;
  int32_t max_context = 0;             // no row has a position at or beyond it
};

class BatchStage {
 public:
  static Result<BatchStage> make(device::Device& device, device::Stream& stream,
                                 const KernelLimits& limits);
  // Device memory that send() writes to.
  static size_t bytes_for(const KernelLimits& limits);

  BatchView send(const Batch& batch, device::DeviceSpan<std::byte> to);
  const BatchShape& shape() const { return shape_; }

 private:
  BatchStage(device::Stream& stream, device::PinnedBuffer<std::byte> block, device::Event sent,
             int32_t page_tokens);

  device::Stream* stream_;
  device::PinnedBuffer<std::byte> block_;
  device::Event sent_;                 // the last copy has left the block
  int32_t page_tokens_;
  bool pending_ = false;
  BatchShape shape_;
};

}  // namespace swarm::engine::kernels::cuda
