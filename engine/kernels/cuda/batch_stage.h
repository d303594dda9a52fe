// engine/kernels/cuda/batch_stage.h — Carries the description of a batch to the device with one
// copy. Borrows the stream. One thread.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/batch.h"
#include "engine/kernels/cuda/staged_block.h"
#include "engine/kernels/kernels.h"

namespace swarm::engine::kernels::cuda {

// What the host knows of the batch in hand.
struct BatchShape {
  int32_t longest_span = 0;            // rows
  int32_t max_context = 0;             // no row has a position at or beyond it
};

class BatchStage {
 public:
  static Result<BatchStage> make(device::Device& device, device::Stream& stream,
                                 const KernelLimits& limits);
  // Device memory that send() writes to.
  static size_t bytes_for(const KernelLimits& limits) {
    const auto ints = [](int64_t count) {
      return StagedBlock::bytes_of<int32_t>(static_cast<size_t>(count));
    };
    const int64_t pages_of_one =
        (int64_t{limits.context} + limits.page_tokens - 1) / limits.page_tokens;
    return 3 * ints(limits.rows) + ints(limits.wanted) + ints(limits.spans * pages_of_one) +
           StagedBlock::bytes_of<SpanView>(static_cast<size_t>(limits.spans));
  }

  BatchView send(const Batch& batch, std::byte* to);
  const BatchShape& shape() const { return shape_; }

 private:
  BatchStage(StagedBlock block, int32_t page_tokens)
      : block_(std::move(block)), page_tokens_(page_tokens) {}
  int32_t pages_of(const BatchSpan& span) const {
    return (span.position + span.count + page_tokens_ - 1) / page_tokens_;
  }

  StagedBlock block_;
  int32_t page_tokens_;
  BatchShape shape_;
};

}  // namespace swarm::engine::kernels::cuda
