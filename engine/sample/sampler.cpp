#include "engine/sample/sampler.h"

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <string>

#include "engine/base/check.h"

namespace swarm::engine {
namespace {

using Candidate = std::pair<float, TokenId>;
using Candidates = std::vector<Candidate>;

// Best first; ties by the lower id.
bool better(const Candidate& a, const Candidate& b) {
  return a.first != b.first ? a.first > b.first : a.second < b.second;
}

// Calls visit(token) for every allowed token in ascending order.
template <class Visit>
void for_each_allowed(size_t vocab, std::span<const uint32_t> mask, Visit visit) {
  if (mask.empty()) {
    for (size_t token = 0; token < vocab; ++token) visit(token);
    return;
  }
  for (size_t word = 0; word * 32 < vocab; ++word)
    for (uint32_t bits = mask[word]; bits != 0; bits &= bits - 1) {
      const size_t token = word * 32 + static_cast<size_t>(std::countr_zero(bits));
      if (token < vocab) visit(token);
    }
}

// log(sum(exp(logit))) of the allowed tokens, given their largest logit. Terms below e^-40 of the
// largest cannot change the float result (vocab < 2^20: together less than 1e-11) and are skipped.
double log_sum_exp(std::span<const float> logits, std::span<const uint32_t> mask, float largest) {
  if (!std::isfinite(largest)) return largest;
  double sum = 0;
  for_each_allowed(logits.size(), mask, [&](size_t token) {
    const float difference = logits[token] - largest;
    if (difference > -40.0f) sum += std::exp(difference);
  });
  return largest + std::log(sum);
}

Result<void> check_range(const char* field, double value, bool inside, const char* range) {
  if (inside) return {};
  std::string text = std::to_string(value);
  while (text.back() == '0') text.pop_back();
  if (text.back() == '.') text.pop_back();
  return invalid_input(std::string(field) + ": expected " + range + ", found " + text);
}

bool uses_penalties(const SamplingParams& params) {
  return params.repeat_penalty != 1.0 || params.presence_penalty != 0.0 ||
         params.frequency_penalty != 0.0;
}

// The logit of a seen token after the penalties.
float penalised(const SamplingParams& params, const SeenToken& seen, float logit) {
  double value = logit;
  if (params.repeat_penalty != 1.0)
    value = value > 0 ? value / params.repeat_penalty : value * params.repeat_penalty;
  if (seen.output_count > 0)
    value -= params.presence_penalty + params.frequency_penalty * seen.output_count;
  return static_cast<float>(value);
}

// The allowed tokens in ascending order, penalties applied.
Candidates collect(const SampleJob& job, std::span<const float> logits) {
  Candidates found;
  found.reserve(logits.size());
  for_each_allowed(logits.size(), job.mask, [&](size_t token) {
    found.emplace_back(logits[token], static_cast<TokenId>(token));
  });
  if (!uses_penalties(job.params)) return found;
  for (const SeenToken& seen : job.seen) {
    const auto at = std::lower_bound(
        found.begin(), found.end(), seen.token,
        [](const Candidate& candidate, TokenId wanted) { return candidate.second < wanted; });
    if (at != found.end() && at->second == seen.token)
      at->first = penalised(job.params, seen, logits[static_cast<size_t>(seen.token)]);
  }
  return found;
}

// Keeps the best candidates whose tempered probabilities reach top_p together; they become sorted.
// Sorts only as many as are needed: 64, then four times as many, ...
void keep_top_p(const SamplingParams& params, double largest, double total, Candidates& from) {
  size_t sorted = 0;
  double sum = 0;
  for (size_t i = 0; i < from.size(); ++i) {
    if (i == sorted) {
      const size_t next = std::min(from.size(), std::max<size_t>(64, sorted * 4));
      std::partial_sort(from.begin() + static_cast<int64_t>(sorted),
                        from.begin() + static_cast<int64_t>(next), from.end(), better);
      sorted = next;
    }
    sum += std::exp((from[i].first - largest) / params.temperature);
    if (sum >= params.top_p * total) {
      from.resize(i + 1);
      return;
    }
  }
}

// The last steps of the order: from is not empty and penalised.
TokenId draw(const SamplingParams& params, double uniform, Candidates& from) {
  if (params.top_k > 0 && static_cast<size_t>(params.top_k) < from.size()) {
    std::partial_sort(from.begin(), from.begin() + params.top_k, from.end(), better);
    from.resize(static_cast<size_t>(params.top_k));
  }
  float largest = -std::numeric_limits<float>::infinity();
  for (const auto& [logit, token] : from) largest = std::max(largest, logit);
  if (!std::isfinite(largest)) {   // nothing allowed has any probability: all are equal
    const auto place = static_cast<size_t>(uniform * static_cast<double>(from.size()));
    return from[std::min(place, from.size() - 1)].second;
  }
  const auto weight = [&](float logit) {
    return std::exp((static_cast<double>(logit) - largest) / params.temperature);
  };
  const auto total_weight = [&] {
    double total = 0;
    for (const auto& [logit, token] : from) total += weight(logit);
    return total;
  };
  if (params.top_p < 1.0) keep_top_p(params, largest, total_weight(), from);
  if (params.min_p > 0.0)
    std::erase_if(from, [&](const Candidate& c) { return weight(c.first) < params.min_p; });
  double left = uniform * total_weight();
  for (const auto& [logit, token] : from) {
    left -= weight(logit);
    if (left < 0) return token;
  }
  // Rounding left a little over: the last candidate with any weight.
  for (size_t i = from.size(); i-- > 0;)
    if (weight(from[i].first) > 0) return from[i].second;
  return from.back().second;
}

// The best allowed token; ties by the lower id.
TokenId greedy(const SampleJob& job, std::span<const float> logits) {
  if (uses_penalties(job.params)) {
    const Candidates found = collect(job, logits);
    return std::min_element(found.begin(), found.end(), better)->second;
  }
  Candidate best{-std::numeric_limits<float>::infinity(), -1};
  for_each_allowed(logits.size(), job.mask, [&](size_t token) {
    if (best.second < 0 || logits[token] > best.first)
      best = {logits[token], static_cast<TokenId>(token)};
  });
  return best.second;
}

float largest_allowed(const SampleJob& job, std::span<const float> logits) {
  float largest = -std::numeric_limits<float>::infinity();
  bool any = false;
  for_each_allowed(logits.size(), job.mask, [&](size_t token) {
    largest = std::max(largest, logits[token]);
    any = true;
  });
  SWARM_CHECK(any, logits.size());
  return largest;
}

// The `count` best allowed tokens, unpenalised.
Candidates best_allowed(const SampleJob& job, std::span<const float> logits, size_t count) {
  Candidates found;
  for_each_allowed(logits.size(), job.mask, [&](size_t token) {
    found.emplace_back(logits[token], static_cast<TokenId>(token));
  });
  count = std::min(found.size(), count);
  std::partial_sort(found.begin(), found.begin() + static_cast<int64_t>(count), found.end(),
                    better);
  found.resize(count);
  return found;
}

bool has_nan(std::span<const float> logits) {
  bool found = false;
  for (const float logit : logits) found |= !(logit <= std::numeric_limits<float>::max());
  return found;
}

}  // namespace

Result<void> SamplingParams::validate() const {
  SWARM_TRY_VOID(check_range("temperature", temperature, temperature >= 0 && temperature <= 10,
                             "a number in [0, 10]"));
  SWARM_TRY_VOID(check_range("top_k", top_k, top_k >= 0, "an integer >= 0"));
  SWARM_TRY_VOID(check_range("top_p", top_p, top_p > 0 && top_p <= 1, "a number in (0, 1]"));
  SWARM_TRY_VOID(check_range("min_p", min_p, min_p >= 0 && min_p <= 1, "a number in [0, 1]"));
  SWARM_TRY_VOID(check_range("presence_penalty", presence_penalty,
                             std::abs(presence_penalty) <= 10, "a number in [-10, 10]"));
  SWARM_TRY_VOID(check_range("frequency_penalty", frequency_penalty,
                             std::abs(frequency_penalty) <= 10, "a number in [-10, 10]"));
  SWARM_TRY_VOID(check_range("repeat_penalty", repeat_penalty,
                             repeat_penalty > 0 && repeat_penalty <= 10, "a number in (0, 10]"));
  SWARM_TRY_VOID(check_range("logprobs", logprobs, logprobs >= 0 && logprobs <= 20,
                             "an integer in [0, 20]"));
  return {};
}

Sampled sample(const SampleJob& job, std::span<const float> logits) {
  SWARM_CHECK(std::ssize(logits) == job.vocab, logits.size(), job.vocab);
  SWARM_CHECK(job.mask.empty() || job.mask.size() * 32 >= logits.size(), job.mask.size());
  Sampled sampled;
  if (has_nan(logits)) {
    sampled.invalid = true;
    return sampled;
  }
  const float largest = largest_allowed(job, logits);
  if (job.params.temperature == 0.0) {
    sampled.token = greedy(job, logits);
  } else {
    Candidates candidates = collect(job, logits);
    sampled.token = draw(job.params, job.uniform, candidates);
  }
  const double log_total = log_sum_exp(logits, job.mask, largest);
  const auto logprob = [&](float logit) {
    return logit == largest && !std::isfinite(largest) ? 0.0f
                                                       : static_cast<float>(logit - log_total);
  };
  sampled.logprob = logprob(logits[static_cast<size_t>(sampled.token)]);
  if (job.params.logprobs == 0) return sampled;
  for (const auto& [logit, token] :
       best_allowed(job, logits, static_cast<size_t>(job.params.logprobs)))
    sampled.top.push_back({.token = token, .logprob = logprob(logit)});
  return sampled;
}

bool Sampler::penalties() const { return uses_penalties(params_); }

SeenToken& Sampler::seen(TokenId token) {
  const auto [at, added] = seen_at_.try_emplace(token, seen_.size());
  if (added) seen_.push_back({.token = token});
  return seen_[at->second];
}

void Sampler::observe_prompt(std::span<const TokenId> tokens) {
  if (params_.repeat_penalty == 1.0) return;
  for (const TokenId token : tokens) seen(token);
}

void Sampler::observe_output(TokenId token) {
  if (penalties()) ++seen(token).output_count;
}

SampleJob Sampler::job(std::span<const uint32_t> mask, int32_t vocab) {
  return {.params = params_,
          .uniform = params_.temperature == 0.0 ? 0.0 : rng_.uniform(),
          .mask = mask,
          .seen = seen_,
          .vocab = vocab};
}

}  // namespace swarm::engine
