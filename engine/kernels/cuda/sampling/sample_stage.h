// engine/kernels/cuda/sampling/sample_stage.h — Carries SampleJobs to the device, runs the sampling
// kernels and brings the choices back: the only wait of a step. Logits stay on the device. Memory
// is fixed: jobs whose penalties together look at more tokens than fit are taken in several rounds.
// Borrows device, stream and arena memory. One thread.
#pragma once

#include <algorithm>
#include <span>

#include "engine/kernels/cuda/sampling/sampling_jobs.h"
#include "engine/kernels/cuda/staged_block.h"
#include "engine/kernels/kernels.h"

namespace swarm::engine::kernels::cuda {

// Device memory of the stage, claimed by the owner.
struct SampleMemory {
  std::byte* jobs = nullptr;           // job_bytes
  SampleResult* results = nullptr;     // [wanted]
  std::byte* scratch = nullptr;        // scratch_bytes

  // Tokens that penalties of one round look at: what one row can need at most, and room for a batch
  // of usual ones.
  static size_t seen_max(const KernelLimits& limits) {
    constexpr int32_t kUsual = 1 << 16;
    return static_cast<size_t>(std::max(kUsual, std::min(limits.context, limits.vocab)));
  }
  static size_t job_bytes(const KernelLimits& limits) {
    const auto rows = static_cast<size_t>(limits.wanted);
    const size_t mask_words = (static_cast<size_t>(limits.vocab) + 31) / 32;
    return StagedBlock::bytes_of<SampleRow>(rows) +
           StagedBlock::bytes_of<uint32_t>(rows * mask_words) +
           StagedBlock::bytes_of<SampleSeen>(seen_max(limits));
  }
  static size_t scratch_bytes(const KernelLimits& limits) {
    return static_cast<size_t>(sample_scratch_bytes(limits.wanted, limits.vocab,
                                                    static_cast<int64_t>(seen_max(limits))));
  }
};

class SampleStage {
 public:
  static Result<SampleStage> make(device::Device& device, device::Stream& stream,
                                  const KernelLimits& limits, const SampleMemory& memory);

  // logits: [jobs, stride] on the device. Throws ErrorException when the device is lost.
  void run(simt::Stream launch_stream, float* logits, int32_t stride,
           std::span<const SampleJob> jobs, std::span<Sampled> sampled);

 private:
  SampleStage(device::Stream& stream, StagedBlock block,
              device::PinnedBuffer<SampleResult> results, const SampleMemory& memory,
              size_t seen_max)
      : stream_(&stream), block_(std::move(block)), results_(std::move(results)),
        memory_(memory), seen_max_(seen_max) {}
  size_t take_round(std::span<const SampleJob> jobs);
  void run_round(simt::Stream launch_stream, float* logits, int32_t stride,
                 std::span<Sampled> sampled);

  device::Stream* stream_;
  StagedBlock block_;
  device::PinnedBuffer<SampleResult> results_;
  SampleMemory memory_;
  size_t seen_max_;                    // tokens that penalties look at, of one round
  PackedJobs packed_;
};

}  // namespace swarm::engine::kernels::cuda
