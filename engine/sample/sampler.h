// engine/sample/sampler.h — From one row of logits to one token, with an explicit order:
//   grammar mask -> repeat penalty -> presence and frequency penalty -> (temperature 0: argmax)
//   -> temperature -> top-k -> top-p -> min-p -> draw.
// Order of Hugging Face and vLLM (reference/engine.md section 12). Greedy ties go to the lower id.
// Pure state machine: one Sampler per request, no clock, no globals; not thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/rng.h"

namespace swarm::engine {
using TokenId = int32_t;

struct SamplingParams {
  double temperature = 0.0;          // 0 = greedy; range [0, 10]
  int32_t top_k = 0;                 // 0 = off
  double top_p = 1.0;                // (0, 1]
  double min_p = 0.0;                // [0, 1]
  double presence_penalty = 0.0;     // [-10, 10], subtracted once per seen token
  double frequency_penalty = 0.0;    // [-10, 10], subtracted per occurrence
  double repeat_penalty = 1.0;       // (0, 10], divides positive and multiplies negative logits
  uint64_t seed = 0;
  int32_t logprobs = 0;              // how many alternatives to report; 0 = none, max 20

  Result<void> validate() const;     // names the field, the range and the value
};

struct TokenLogprob {
  TokenId token = 0;
  float logprob = 0;
};

struct Sampled {
  TokenId token = 0;
  float logprob = 0;                       // under softmax of the masked, unpenalised logits
  std::vector<TokenLogprob> top;           // params.logprobs entries, best first
};

// True if a logit is NaN or +inf: such a row must not be sampled (the engine ends the request with
// Finish::failed and says so).
bool has_nan(std::span<const float> logits);

// Precision: weights in double. top-k keeps exactly k tokens, top-p the shortest sorted run that
// reaches p, min-p what has at least min_p times the best probability. If every allowed logit is
// -inf, all allowed tokens are equal.
class Sampler {
 public:
  explicit Sampler(const SamplingParams& params);

  // Penalties look at prompt and output alike for repeat, at output only for presence/frequency.
  void observe_prompt(std::span<const TokenId> tokens);
  void observe_output(TokenId token);

  // mask: one bit per token id, 1 = allowed (empty = everything). At least one bit must be set.
  Sampled sample(std::span<const float> logits, std::span<const uint32_t> mask);

 private:
  float penalised(TokenId token, float logit) const;
  void collect(std::span<const float> logits, std::span<const uint32_t> mask);
  void keep_top_p(double largest, double total);
  TokenId draw();

  SamplingParams params_;
  Rng rng_;
  std::unordered_map<TokenId, int32_t> output_counts_;
  std::unordered_map<TokenId, int32_t> prompt_seen_;
  std::vector<std::pair<float, TokenId>> scratch_;
};

}  // namespace swarm::engine
