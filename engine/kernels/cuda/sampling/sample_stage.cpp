#include "engine/kernels/cuda/sampling/sample_stage.h"

#include <algorithm>

#include "engine/kernels/cuda/launch.h"

namespace swarm::engine::kernels::cuda {
namespace {

size_t count_of(int32_t value) { return static_cast<size_t>(value); }

}  // namespace

Result<SampleStage> SampleStage::make(device::Device& device, device::Stream& stream,
                                      const KernelLimits& limits, const SampleMemory& memory) {
  SWARM_TRY(auto block, StagedBlock::make(device, stream, SampleMemory::job_bytes(limits)));
  SWARM_TRY(auto results,
            device.allocate_pinned<SampleResult>(count_of(limits.wanted), "sampled tokens"));
  return SampleStage(stream, std::move(block), std::move(results), memory,
                     SampleMemory::seen_max(limits));
}

void SampleStage::run(simt::Stream launch_stream, float* logits, int32_t stride,
                      std::span<const SampleJob> jobs, std::span<Sampled> sampled) {
  SWARM_CHECK(jobs.size() == sampled.size(), jobs.size(), sampled.size());
  for (size_t first = 0; first < jobs.size();) {
    const size_t count = take_round(jobs.subspan(first));
    run_round(launch_stream, logits + first * count_of(stride), stride,
              sampled.subspan(first, count));
    first += count;
  }
}

// Packs as many jobs from the front as fit; at least one.
size_t SampleStage::take_round(std::span<const SampleJob> jobs) {
  packed_.clear();
  size_t count = 0;
  while (count < jobs.size()) {
    if (count > 0 && packed_.seen.size() + jobs[count].seen.size() > seen_max_) break;
    packed_.add(jobs[count++]);
  }
  return count;
}

void SampleStage::run_round(simt::Stream launch_stream, float* logits, int32_t stride,
                            std::span<Sampled> sampled) {
  block_.begin(memory_.jobs);
  const auto rows = block_.put(std::span<const SampleRow>(packed_.rows));
  const auto masks = block_.put(std::span<const uint32_t>(packed_.masks));
  const auto seen = block_.put(std::span<const SampleSeen>(packed_.seen));
  block_.send();
  launch(stream_->device(), "sample", [&] {
    return sample_rows(launch_stream, {.logits = logits, .stride = stride,
                                       .rows = static_cast<int32_t>(sampled.size()),
                                       .vocab = packed_.vocab, .jobs = rows, .masks = masks,
                                       .seen = seen, .results = memory_.results,
                                       .scratch = reinterpret_cast<uint8_t*>(memory_.scratch)});
  });
  const auto results = results_.span().first(sampled.size());
  stream_->copy(results, device::DeviceSpan<const SampleResult>(memory_.results, sampled.size()));
  const auto waited = stream_->synchronize();
  if (!waited) throw ErrorException(waited.error());
  for (size_t i = 0; i < sampled.size(); ++i) sampled[i] = unpack(results[i]);
}

}  // namespace swarm::engine::kernels::cuda
