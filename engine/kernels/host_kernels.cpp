#include "engine/kernels/host_kernels.h"

#include <algorithm>
#include <cmath>

#include "engine/base/check.h"

namespace swarm::engine::kernels {

// engine.md 1.2 step 4 and section 13: the angle is exact in double, only then rounded.
void HostKernels::rope_angles(const RopeAngles& args) {
  const size_t half = args.inv_freq.size();
  for (size_t t = 0; t < batch_.positions.size(); ++t) {
    for (size_t j = 0; j < half; ++j) {
      const double angle = batch_.positions[t] * args.inv_freq[j];
      args.cos[t * half + j] = static_cast<float>(args.factor * std::cos(angle));
      args.sin[t * half + j] = static_cast<float>(args.factor * std::sin(angle));
    }
  }
}

void HostKernels::gather_wanted(const float* x, int32_t width, float* out) {
  const auto count = static_cast<size_t>(width);
  for (size_t i = 0; i < batch_.wanted.size(); ++i) {
    std::copy_n(x + static_cast<size_t>(batch_.wanted[i]) * count, count, out + i * count);
  }
}

void HostKernels::sample(float* logits, int32_t stride, std::span<const SampleJob> jobs,
                         std::span<Sampled> sampled) {
  SWARM_CHECK(jobs.size() == sampled.size(), jobs.size(), sampled.size());
  for (size_t i = 0; i < jobs.size(); ++i) {
    SWARM_CHECK(jobs[i].vocab <= stride, jobs[i].vocab, stride);
    sampled[i] = engine::sample(
        jobs[i], {logits + i * static_cast<size_t>(stride), static_cast<size_t>(jobs[i].vocab)});
  }
}

}  // namespace swarm::engine::kernels
