// engine/sample/sampler.h — From one row of logits to one token, with an explicit order:
//   grammar mask -> repeat penalty -> presence and frequency penalty -> (temperature 0: argmax)
//   -> temperature -> top-k -> top-p -> min-p -> draw.
// Order of Hugging Face and vLLM (reference/engine.md section 12). Greedy ties go to the lower id.
// A Sampler is the state of one request (what was seen, the random stream); it yields SampleJobs,
// plain data that a backend can carry to its device; sample() below is the definition every backend
// must agree with. Pure state machines: no clock, no globals; not thread-safe.
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
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
  bool invalid = false;                    // a logit is NaN or +inf: nothing was chosen
};

// A token the penalties look at.
struct SeenToken {
  TokenId token = 0;
  int32_t output_count = 0;                // times in the output; 0 = only in the prompt
};

// One choice: everything it depends on besides the logits. Borrows mask and seen.
struct SampleJob {
  SamplingParams params;
  double uniform = 0;                      // in [0, 1): the draw; not used when greedy
  std::span<const uint32_t> mask;          // one bit per token id, 1 = allowed; empty = everything
  std::span<const SeenToken> seen;         // each token once, any order; empty without penalties
  int32_t vocab = 0;                       // ids from here on are never chosen
};


// The definition. logits: [job.vocab]; mask, if any, covers them and has a bit set.
// Precision: weights in double. top-k keeps exactly k tokens, top-p the shortest sorted run that
// reaches p, min-p what has at least min_p times the best probability; the draw takes the first
// token, in ascending order of ids (after top-k or top-p: best first), whose cumulated weight
// exceeds uniform * total. If every allowed logit is -inf, all allowed tokens are equal.
Sampled sample(const SampleJob& job, std::span<const float> logits);

class Sampler {
 public:
  explicit Sampler(const SamplingParams& params) : params_(params), rng_(params.seed) {}

  // Penalties look at prompt and output alike for repeat, at output only for presence/frequency.
  void observe_prompt(std::span<const TokenId> tokens);
  void observe_output(TokenId token);

  // The next choice; takes the next number of the random stream unless greedy. Valid until the
  // next observe_*; borrows mask.
  SampleJob job(std::span<const uint32_t> mask, int32_t vocab);

 private:
  bool penalties() const;
  SeenToken& seen(TokenId token);

  SamplingParams params_;
  Rng rng_;
  std::unordered_map<TokenId, size_t> seen_at_;   // token -> place in seen_
  std::vector<SeenToken> seen_;
};

}  // namespace swarm::engine
