// engine/kernels/cuda/sampling/sampling_jobs.h — Between SampleJob and Sampled (sample/sampler.h)
// and what sampling.h takes and gives. Host only; pure functions.
#pragma once

#include <cmath>
#include <span>
#include <vector>

#include "engine/kernels/cuda/sampling/sampling.h"
#include "engine/sample/sampler.h"

namespace swarm::engine::kernels::cuda {

// What has to be copied to the device. Reused from call to call: clear() keeps the memory.
struct PackedJobs {
  std::vector<SampleRow> rows;
  std::vector<uint32_t> masks;
  std::vector<SampleSeen> seen;
  int32_t vocab = 0;                   // the largest

  void clear() {
    rows.clear();
    masks.clear();
    seen.clear();
    vocab = 0;
  }

  void add(const SampleJob& job) {
    const SamplingParams& params = job.params;
    SampleRow row{.temperature = params.temperature,
                  .top_p = params.top_p,
                  .min_p = params.min_p,
                  .repeat_penalty = params.repeat_penalty,
                  .uniform = job.uniform,
                  .top_k = params.top_k,
                  .logprobs = params.logprobs,
                  .vocab = job.vocab,
                  .first_seen = static_cast<int32_t>(seen.size())};
    if (!job.mask.empty()) {
      row.first_mask_word = static_cast<int32_t>(masks.size());
      masks.insert(masks.end(), job.mask.begin(), job.mask.end());
    }
    const bool penalties = params.repeat_penalty != 1.0 || params.presence_penalty != 0.0 ||
                           params.frequency_penalty != 0.0;
    if (penalties) {
      for (const SeenToken& token : job.seen) {
        const double subtract =
            token.output_count > 0
                ? params.presence_penalty + params.frequency_penalty * token.output_count
                : 0.0;
        seen.push_back({.subtract = subtract, .token = token.token});
      }
      row.seen_count = static_cast<int32_t>(job.seen.size());
    }
    rows.push_back(row);
    vocab = job.vocab > vocab ? job.vocab : vocab;
  }
};

inline Sampled unpack(const SampleResult& result) {
  Sampled sampled;
  sampled.invalid = result.invalid != 0;
  if (sampled.invalid) return sampled;
  const bool flat = !std::isfinite(result.largest);        // every allowed logit is -infinity
  const double log_total = flat ? 0.0 : result.largest + std::log(result.total);
  const auto logprob = [&](float logit) {
    return flat ? 0.0f : static_cast<float>(logit - log_total);
  };
  sampled.token = result.token;
  sampled.logprob = logprob(result.logit);
  for (int32_t i = 0; i < result.top_count; ++i)
    sampled.top.push_back(
        {.token = result.top_token[i], .logprob = logprob(result.top_logit[i])});
  return sampled;
}

}  // namespace swarm::engine::kernels::cuda
