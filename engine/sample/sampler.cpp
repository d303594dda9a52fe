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

bool has_nan(std::span<const float> logits) {
  bool found = false;
  for (const float logit : logits) found |= !(logit <= std::numeric_limits<float>::max());
  return found;
}

Sampler::Sampler(const SamplingParams& params) : params_(params), rng_(params.seed) {}

void Sampler::observe_prompt(std::span<const TokenId> tokens) {
  if (params_.repeat_penalty == 1.0) return;
  for (const TokenId token : tokens) ++prompt_seen_[token];
}

void Sampler::observe_output(TokenId token) { ++output_counts_[token]; }

// The logit of one token after the penalties.
float Sampler::penalised(TokenId token, float logit) const {
  const auto counted = output_counts_.find(token);
  const bool in_output = counted != output_counts_.end();
  double value = logit;
  if (params_.repeat_penalty != 1.0 && (in_output || prompt_seen_.contains(token)))
    value = value > 0 ? value / params_.repeat_penalty : value * params_.repeat_penalty;
  if (in_output)
    value -= params_.presence_penalty + params_.frequency_penalty * counted->second;
  return static_cast<float>(value);
}

// Fills scratch_ with the allowed tokens in ascending order, penalties applied.
void Sampler::collect(std::span<const float> logits, std::span<const uint32_t> mask) {
  scratch_.clear();
  scratch_.reserve(logits.size());
  for_each_allowed(logits.size(), mask, [&](size_t token) {
    scratch_.emplace_back(logits[token], static_cast<TokenId>(token));
  });
  const bool penalties = params_.repeat_penalty != 1.0 || params_.presence_penalty != 0.0 ||
                         params_.frequency_penalty != 0.0;
  if (!penalties) return;
  const auto apply = [&](TokenId token) {
    const auto found = std::lower_bound(
        scratch_.begin(), scratch_.end(), token,
        [](const Candidate& candidate, TokenId wanted) { return candidate.second < wanted; });
    if (found != scratch_.end() && found->second == token)
      found->first = penalised(token, logits[static_cast<size_t>(token)]);
  };
  for (const auto& [token, count] : output_counts_) apply(token);
  for (const auto& [token, count] : prompt_seen_)
    if (!output_counts_.contains(token)) apply(token);
}

// Keeps the best candidates whose tempered probabilities reach top_p together; scratch_ becomes
// sorted. Sorts only as many as are needed: 64, then four times as many, ...
void Sampler::keep_top_p(double largest, double total) {
  size_t sorted = 0;
  double sum = 0;
  for (size_t i = 0; i < scratch_.size(); ++i) {
    if (i == sorted) {
      const size_t next = std::min(scratch_.size(), std::max<size_t>(64, sorted * 4));
      std::partial_sort(scratch_.begin() + static_cast<int64_t>(sorted),
                        scratch_.begin() + static_cast<int64_t>(next), scratch_.end(), better);
      sorted = next;
    }
    sum += std::exp((scratch_[i].first - largest) / params_.temperature);
    if (sum >= params_.top_p * total) {
      scratch_.resize(i + 1);
      return;
    }
  }
}

TokenId Sampler::draw() {
  if (params_.top_k > 0 && static_cast<size_t>(params_.top_k) < scratch_.size()) {
    std::partial_sort(scratch_.begin(), scratch_.begin() + params_.top_k, scratch_.end(), better);
    scratch_.resize(static_cast<size_t>(params_.top_k));
  }
  float largest = -std::numeric_limits<float>::infinity();
  for (const auto& [logit, token] : scratch_) largest = std::max(largest, logit);
  if (!std::isfinite(largest))   // nothing allowed has any probability: all are equal
    return scratch_[rng_.below(scratch_.size())].second;
  const auto weight = [&](float logit) {
    return std::exp((static_cast<double>(logit) - largest) / params_.temperature);
  };
  if (params_.top_p < 1.0) {
    double total = 0;
    for (const auto& [logit, token] : scratch_) total += weight(logit);
    keep_top_p(largest, total);
  }
  if (params_.min_p > 0.0)
    std::erase_if(scratch_, [&](const Candidate& c) { return weight(c.first) < params_.min_p; });
  double total = 0;
  for (const auto& [logit, token] : scratch_) total += weight(logit);
  double left = rng_.uniform() * total;
  for (const auto& [logit, token] : scratch_) {
    left -= weight(logit);
    if (left < 0) return token;
  }
  // Rounding left a little over: the last candidate with any weight.
  for (size_t i = scratch_.size(); i-- > 0;)
    if (weight(scratch_[i].first) > 0) return scratch_[i].second;
  return scratch_.back().second;
}

Sampled Sampler::sample(std::span<const float> logits, std::span<const uint32_t> mask) {
  SWARM_CHECK(mask.empty() || mask.size() * 32 >= logits.size(), mask.size(), logits.size());
  collect(logits, mask);
  SWARM_CHECK(!scratch_.empty(), logits.size());
  float largest = -std::numeric_limits<float>::infinity();
  for (const auto& [logit, token] : scratch_)
    largest = std::max(largest, logits[static_cast<size_t>(token)]);
  const double log_total = log_sum_exp(logits, mask, largest);
  Sampled sampled;
  sampled.token = params_.temperature == 0.0
                      ? std::min_element(scratch_.begin(), scratch_.end(), better)->second
                      : draw();
  const auto logprob = [&](TokenId token) {
    const float logit = logits[static_cast<size_t>(token)];
    return logit == largest && !std::isfinite(largest) ? 0.0f
                                                       : static_cast<float>(logit - log_total);
  };
  sampled.logprob = logprob(sampled.token);
  if (params_.logprobs == 0) return sampled;
  scratch_.clear();
  for_each_allowed(logits.size(), mask, [&](size_t token) {
    scratch_.emplace_back(logits[token], static_cast<TokenId>(token));
  });
  const size_t count = std::min(scratch_.size(), static_cast<size_t>(params_.logprobs));
  std::partial_sort(scratch_.begin(), scratch_.begin() + static_cast<int64_t>(count),
                    scratch_.end(), better);
  for (size_t i = 0; i < count; ++i)
    sampled.top.push_back({.token = scratch_[i].second, .logprob = logprob(scratch_[i].second)});
  return sampled;
}

}  // namespace swarm::engine
