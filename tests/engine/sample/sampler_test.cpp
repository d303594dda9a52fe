#include "engine/sample/sampler.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

using namespace swarm;
using namespace swarm::engine;

namespace {

// One choice of a request.
Sampled choose(Sampler& sampler, const std::vector<float>& logits,
               const std::vector<uint32_t>& mask) {
  return sample(sampler.job(mask, static_cast<int32_t>(logits.size())), logits);
}

using Probabilities = std::map<TokenId, double>;

constexpr int kDraws = 20000;

// Pearson's statistic of kDraws draws against exact probabilities. With fixed seeds the outcome is
// fixed; the bound (mean of chi-square plus 5 standard deviations) is what a right sampler misses
// with probability below 1e-4. A token outside the support fails at once.
void check_distribution(SamplingParams params, const std::vector<float>& logits,
                        const std::vector<uint32_t>& mask, const Probabilities& want,
                        const std::vector<TokenId>& prompt = {},
                        const std::vector<TokenId>& output = {}) {
  params.seed = 12345;
  Sampler sampler(params);
  sampler.observe_prompt(prompt);
  for (const TokenId token : output) sampler.observe_output(token);
  std::map<TokenId, int> seen;
  for (int i = 0; i < kDraws; ++i) ++seen[choose(sampler, logits, mask).token];
  double total = 0;
  for (const auto& [token, p] : want) total += p;
  REQUIRE(std::abs(total - 1) < 1e-12);
  for (const auto& [token, count] : seen) {
    CAPTURE(token);
    REQUIRE(want.contains(token));
  }
  double statistic = 0;
  for (const auto& [token, p] : want) {
    const double expected = p * kDraws;
    statistic += (seen[token] - expected) * (seen[token] - expected) / expected;
  }
  const double freedom = static_cast<double>(want.size()) - 1;
  CHECK(statistic <= freedom + 5 * std::sqrt(2 * freedom) + 1e-9);
}

Probabilities softmax(const std::map<TokenId, double>& logits, double temperature = 1) {
  Probabilities out;
  double sum = 0;
  for (const auto& [token, logit] : logits) sum += out[token] = std::exp(logit / temperature);
  for (auto& [token, p] : out) p /= sum;
  return out;
}

const std::vector<float> kLogits{1.0f, 2.0f, 0.5f, -1.0f, 2.5f, 0.0f};

}  // namespace

TEST_CASE("sampler: temperature alone gives the exact softmax") {
  for (const double t : {0.5, 1.0, 2.0})
    check_distribution({.temperature = t}, kLogits, {},
                       softmax({{0, 1}, {1, 2}, {2, 0.5}, {3, -1}, {4, 2.5}, {5, 0}}, t));
}

TEST_CASE("sampler: top-k keeps the k best and renormalises") {
  check_distribution({.temperature = 1.5, .top_k = 3}, kLogits, {},
                     softmax({{4, 2.5}, {1, 2}, {0, 1}}, 1.5));
  check_distribution({.temperature = 1, .top_k = 2}, {1, 1, 1, 1}, {}, {{0, 0.5}, {1, 0.5}});
}

TEST_CASE("sampler: top-p acts on tempered probabilities and keeps the token that crosses") {
  // Tempered by 0.5 the two best have 0.679 + 0.250 >= 0.9; untempered they would need a third.
  const auto p = softmax({{0, 1}, {1, 2}, {2, 0.5}, {3, -1}, {4, 2.5}, {5, 0}}, 0.5);
  REQUIRE(p.at(4) < 0.9);
  REQUIRE(p.at(4) + p.at(1) >= 0.9);
  check_distribution({.temperature = 0.5, .top_p = 0.9}, kLogits, {},
                     softmax({{4, 2.5}, {1, 2}}, 0.5));
}

TEST_CASE("sampler: top-p over a long tail sorts as far as it must") {
  std::vector<float> logits(1000, 0.0f);
  Sampler sampler({.temperature = 1, .top_p = 0.5, .seed = 1});
  std::map<TokenId, int> seen;
  for (int i = 0; i < 4000; ++i) ++seen[choose(sampler, logits, {}).token];
  CHECK(seen.rbegin()->first == 499);       // ties by the lower id: the first half
  CHECK(seen.size() > 480);
}

TEST_CASE("sampler: min-p is relative to the best of what top-p left") {
  check_distribution({.temperature = 1, .min_p = 0.3}, kLogits, {}, softmax({{4, 2.5}, {1, 2}}));
}

TEST_CASE("sampler: all filters apply in their order") {
  // top_k 4 -> {4, 1, 0, 2}; top_p 0.95 of these -> all but 2; min_p 0.25 -> {4, 1}.
  check_distribution({.temperature = 1, .top_k = 4, .top_p = 0.95, .min_p = 0.25}, kLogits, {},
                     softmax({{4, 2.5}, {1, 2}}));
}

TEST_CASE("sampler: the mask comes first") {
  check_distribution({.temperature = 1, .top_k = 2}, kLogits, {0b101001},
                     softmax({{0, 1}, {5, 0}}));
}

TEST_CASE("sampler: penalties follow their formulas") {
  // repeat 2 on prompt {3} and output {1, 1, 5}; then presence 0.5, frequency 0.25 on the output.
  check_distribution({.temperature = 1, .presence_penalty = 0.5, .frequency_penalty = 0.25,
                      .repeat_penalty = 2},
                     kLogits, {},
                     softmax({{0, 1}, {1, 1 - 0.5 - 0.5}, {2, 0.5}, {3, -2}, {4, 2.5},
                              {5, 0 - 0.5 - 0.25}}),
                     {3}, {1, 1, 5});
}

TEST_CASE("sampler: greedy takes the best allowed token, ties go to the lower id") {
  Sampler sampler({});
  CHECK(choose(sampler, kLogits, {}).token == 4);
  CHECK(choose(sampler, kLogits, std::vector<uint32_t>{0b000111}).token == 1);
  CHECK(choose(sampler, std::vector<float>{1, 3, 3, 3}, {}).token == 1);
  CHECK(choose(sampler, std::vector<float>{1, 3, 3, 3}, std::vector<uint32_t>{0b1100}).token == 2);
  Sampler repeat({.repeat_penalty = 2});
  repeat.observe_output(4);
  CHECK(choose(repeat, kLogits, {}).token == 1);
}

TEST_CASE("sampler: masks wider than one word and bits beyond the vocabulary") {
  std::vector<float> logits(70, 0.0f);
  logits[69] = 1;
  logits[40] = 5;
  const std::vector<uint32_t> mask{0, 0, 0xffffffffu};
  Sampler sampler({});
  CHECK(choose(sampler, logits, mask).token == 69);
}

TEST_CASE("sampler: logprobs are those of the masked, unpenalised logits") {
  Sampler sampler({.temperature = 0, .repeat_penalty = 5, .logprobs = 2});
  sampler.observe_output(4);
  const Sampled got = choose(sampler, kLogits, std::vector<uint32_t>{0b010011});
  CHECK(got.token == 1);                    // 2.5 / 5 < 2
  const auto p = softmax({{0, 1}, {1, 2}, {4, 2.5}});
  CHECK(std::abs(got.logprob - std::log(p.at(1))) < 1e-6);
  REQUIRE(got.top.size() == 2);
  CHECK(got.top[0].token == 4);
  CHECK(std::abs(got.top[0].logprob - std::log(p.at(4))) < 1e-6);
  CHECK(got.top[1].token == 1);
}

TEST_CASE("sampler: the same seed gives the same tokens, another seed others") {
  const auto run = [](uint64_t seed) {
    Sampler sampler({.temperature = 1, .seed = seed});
    std::vector<TokenId> tokens;
    for (int i = 0; i < 40; ++i) tokens.push_back(choose(sampler, kLogits, {}).token);
    return tokens;
  };
  CHECK(run(7) == run(7));
  CHECK(run(7) != run(8));
}

TEST_CASE("sampler: extreme logits and temperatures stay inside the mask") {
  const float inf = std::numeric_limits<float>::infinity();
  for (const double t : {0.0, 1e-9, 1.0, 10.0}) {
    Sampler sampler({.temperature = t, .top_p = 0.9});
    CHECK(choose(sampler, std::vector<float>{-inf, 3e38f, -3e38f}, {}).token == 1);
    const TokenId token =
        choose(sampler, std::vector<float>{5, -inf, -inf}, std::vector<uint32_t>{0b110}).token;
    CHECK((token == 1 || token == 2));
  }
  Sampler sampler({});
  const auto invalid = [&](const std::vector<float>& logits) {
    return choose(sampler, logits, {}).invalid;
  };
  CHECK(invalid({0, std::numeric_limits<float>::quiet_NaN(), 1}));
  CHECK(invalid({inf}));
  CHECK(!invalid({-inf, 3e38f}));
}

TEST_CASE("sampler: a parameter out of range is refused by name, range and value") {
  CHECK(SamplingParams{}.validate().has_value());
  const auto text = [](SamplingParams params) {
    const auto checked = params.validate();
    return checked ? std::string() : checked.error().message;
  };
  CHECK(text({.temperature = -1}) == "temperature: expected a number in [0, 10], found -1");
  CHECK(text({.temperature = std::nan("")}).starts_with("temperature: expected"));
  CHECK(text({.top_k = -1}) == "top_k: expected an integer >= 0, found -1");
  CHECK(text({.top_p = 0}) == "top_p: expected a number in (0, 1], found 0");
  CHECK(text({.min_p = 1.5}) == "min_p: expected a number in [0, 1], found 1.5");
  CHECK(text({.presence_penalty = 11}).starts_with("presence_penalty: expected"));
  CHECK(text({.frequency_penalty = -11}).starts_with("frequency_penalty: expected"));
  CHECK(text({.repeat_penalty = 0}).starts_with("repeat_penalty: expected"));
  CHECK(text({.logprobs = 21}) == "logprobs: expected an integer in [0, 20], found 21");
}
