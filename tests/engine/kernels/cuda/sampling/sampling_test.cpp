// sample_rows against sample() of sample/sampler.h, which is the definition.
#include "engine/kernels/cuda/sampling/sampling.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <limits>

#include "engine/kernels/cuda/sampling/sampling_jobs.h"
#include "engine/kernels/cuda/simt/emulator.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::engine;
using namespace swarm::engine::kernels;

namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// ThreadSanitizer is slow and looks for races alone: the cases with penalties, flat rows and large
// vocabularies take every way through a row that has a barrier.
#if defined(__SANITIZE_THREAD__)
constexpr bool kRacesAlone = true;
#else
constexpr bool kRacesAlone = false;
#endif

// Rows of logits and what is asked of each.
struct Rows {
  std::vector<std::vector<float>> logits;
  std::vector<SamplingParams> params;
  std::vector<double> uniform;
  std::vector<std::vector<uint32_t>> masks;
  std::vector<std::vector<SeenToken>> seen;

  size_t size() const { return logits.size(); }
  SampleJob job(size_t i) const {
    return {.params = params[i],
            .uniform = uniform[i],
            .mask = masks[i],
            .seen = seen[i],
            .vocab = static_cast<int32_t>(logits[i].size())};
  }
  void add(std::vector<float> row, const SamplingParams& wish, double draw,
           std::vector<uint32_t> mask = {}, std::vector<SeenToken> tokens = {}) {
    logits.push_back(std::move(row));
    params.push_back(wish);
    uniform.push_back(draw);
    masks.push_back(std::move(mask));
    seen.push_back(std::move(tokens));
  }
};

// Gaussian, as logits of a model are.
std::vector<float> gaussian(size_t count, float deviation, uint64_t seed) {
  Rng rng(seed);
  std::vector<float> row(count);
  for (float& logit : row) {
    double sum = 0;
    for (int i = 0; i < 12; ++i) sum += rng.uniform();
    logit = static_cast<float>(sum - 6) * deviation;
  }
  return row;
}

std::vector<uint32_t> random_mask(size_t vocab, double share, uint64_t seed) {
  Rng rng(seed);
  std::vector<uint32_t> mask((vocab + 31) / 32);
  for (size_t i = 0; i < vocab; ++i)
    if (rng.uniform() < share) mask[i / 32] |= 1u << (i % 32);
  mask[rng.below(vocab) / 32] |= 1;
  return mask;
}

std::vector<SeenToken> random_seen(size_t vocab, size_t count, uint64_t seed) {
  Rng rng(seed);
  std::vector<SeenToken> seen;
  for (size_t token = 0; token < vocab && seen.size() < count; token += 1 + rng.below(3))
    seen.push_back({.token = static_cast<int32_t>(token),
                    .output_count = static_cast<int32_t>(rng.below(4))});
  std::reverse(seen.begin(), seen.end());
  return seen;
}

std::vector<Sampled> run(simt::Stream stream, const Rows& rows) {
  cuda::PackedJobs jobs;
  size_t stride = 0;
  for (size_t i = 0; i < rows.size(); ++i) {
    jobs.add(rows.job(i));
    stride = std::max(stride, rows.logits[i].size());
  }
  std::vector<float> logits(rows.size() * stride);
  simt::poison(logits.data(), logits.size() * sizeof(float), 0);   // behind shorter rows: NaN
  for (size_t i = 0; i < rows.size(); ++i)
    std::copy(rows.logits[i].begin(), rows.logits[i].end(),
              logits.begin() + static_cast<int64_t>(i * stride));
  const std::vector<float> before = logits;
  std::vector<cuda::SampleResult> results(rows.size());
  simt::poison(results.data(), results.size() * sizeof(cuda::SampleResult), 0);
  const auto seen = static_cast<int64_t>(jobs.seen.size());
  std::vector<uint8_t> scratch(static_cast<size_t>(cuda::sample_scratch_bytes(
      static_cast<int32_t>(rows.size()), jobs.vocab, seen)));
  simt::poison(scratch.data(), scratch.size(), 1);
  cuda::SampleArgs args;
  args.logits = logits.data();
  args.stride = static_cast<int64_t>(stride);
  args.rows = static_cast<int32_t>(rows.size());
  args.vocab = jobs.vocab;
  args.jobs = jobs.rows.data();
  args.masks = jobs.masks.data();
  args.seen = jobs.seen.data();
  args.results = results.data();
  args.scratch = scratch.data();
  CHECK(cuda::sample_rows(stream, args).ok());
  CHECK(std::memcmp(logits.data(), before.data(), logits.size() * sizeof(float)) == 0);
  std::vector<Sampled> sampled;
  for (const auto& result : results) sampled.push_back(cuda::unpack(result));
  return sampled;
}

// Log-probabilities: exp in f32 (2 ulp, 2^-22 of the sum) against exp in f32 of the C library, then
// one rounding to f32 of the logprob, 2^-24 of up to 60.
bool close(float got, float want) {
  return (got == -kInf && want == -kInf) || std::abs(got - want) <= 1e-6f + 2e-7f * std::abs(want);
}

void check_same(const Sampled& got, const Sampled& want) {
  CHECK(got.invalid == want.invalid);
  if (want.invalid) return;
  CHECK(got.token == want.token);
  CHECK_MESSAGE(close(got.logprob, want.logprob), got.logprob << " " << want.logprob);
  REQUIRE(got.top.size() == want.top.size());
  for (size_t i = 0; i < want.top.size(); ++i) {
    CHECK(got.top[i].token == want.top[i].token);
    CHECK(close(got.top[i].logprob, want.top[i].logprob));
  }
}

void check_rows(const Rows& rows) {
  simt::Emulator emulator;
  const auto got = run(emulator.stream(), rows);
  for (size_t i = 0; i < rows.size(); ++i) {
    CAPTURE(i);
    CAPTURE(rows.params[i].temperature);
    CAPTURE(rows.params[i].top_k);
    CAPTURE(rows.params[i].top_p);
    CAPTURE(rows.params[i].min_p);
    CAPTURE(rows.uniform[i]);
    CAPTURE(rows.logits[i].size());
    check_same(got[i], sample(rows.job(i), rows.logits[i]));
  }
}

SamplingParams wish(double temperature, int32_t top_k = 0, double top_p = 1, double min_p = 0,
                    int32_t logprobs = 0) {
  SamplingParams params;
  params.temperature = temperature;
  params.top_k = top_k;
  params.top_p = top_p;
  params.min_p = min_p;
  params.logprobs = logprobs;
  return params;
}

}  // namespace

TEST_CASE("sampling: every combination of the chain gives the token of the definition" *
          doctest::skip(kRacesAlone)) {
  Rng rng(5);
  for (const size_t vocab : {1, 31, 1000, 5000}) {
    Rows rows;
    for (const double temperature : {0.0, 0.6, 1.0, 2.5})
      for (const int32_t top_k : {0, 1, 20, 700, 1500})
        for (const double top_p : {1.0, 0.95, 0.3})
          for (const double min_p : {0.0, 0.05}) {
            if (temperature == 0.0 && (top_k != 20 || min_p != 0.0)) continue;
            rows.add(gaussian(vocab, 3, rng.next()),
                     wish(temperature, top_k, top_p, min_p, static_cast<int32_t>(rng.below(21))),
                     rng.uniform(),
                     rng.below(2) ? random_mask(vocab, 0.4, rng.next())
                                  : std::vector<uint32_t>{});
          }
    check_rows(rows);
  }
}

TEST_CASE("sampling: penalties apply to the choice and not to log-probabilities") {
  Rng rng(6);
  Rows rows;
  for (int i = 0; i < 24; ++i) {
    const size_t vocab = i % 2 ? 300 : 2000;
    SamplingParams params = wish(i % 3 ? 0.8 : 0.0, i % 4 ? 20 : 0, i % 5 ? 0.9 : 1.0, 0, i % 7);
    params.repeat_penalty = i % 3 == 1 ? 1.0 : 1.3;
    params.presence_penalty = i % 2 ? 0.5 : 0.0;
    params.frequency_penalty = i % 4 ? 0.25 : 0.0;
    rows.add(gaussian(vocab, 2, rng.next()), params, rng.uniform(),
             i % 2 ? random_mask(vocab, 0.5, rng.next()) : std::vector<uint32_t>{},
             random_seen(vocab, 150, rng.next()));
  }
  check_rows(rows);
}

TEST_CASE("sampling: ties go to the lower id, in greedy, top-k and lists" *
          doctest::skip(kRacesAlone)) {
  Rng rng(7);
  Rows rows;
  for (const double step : {0.5, 4.0, 100.0})      // 100: all are equal
    for (const int32_t top_k : {0, 5, 20, 1200})
      for (const double top_p : {1.0, 0.5}) {
        auto row = gaussian(3000, 2, rng.next());
        for (float& logit : row)
          logit = static_cast<float>(std::round(logit / step) * step);     // also -0
        rows.add(row, wish(1.0, top_k, top_p, 0, 20), rng.uniform());
        rows.add(row, wish(0.0, top_k, top_p, 0, 3), 0);
      }
  check_rows(rows);
}

TEST_CASE("sampling: draws at the edges of the unit interval and between equal tokens" *
          doctest::skip(kRacesAlone)) {
  Rows rows;
  const std::vector<float> equal(4, 1.5f);
  for (const double uniform : {0.0, 0.25, 0.5, 0.75, 0x1.fffffffffffffp-1})
    for (const int32_t top_k : {0, 2, 4})
      for (const double top_p : {1.0, 0.5, 0.25})
        rows.add(equal, wish(1, top_k, top_p, top_k == 2 ? 1.0 : 0.0), uniform);
  check_rows(rows);
}

TEST_CASE("sampling: minus infinity is never drawn unless there is nothing else" *
          doctest::skip(kRacesAlone)) {
  Rng rng(8);
  Rows rows;
  for (const size_t finite_tokens : {0, 1, 3}) {
    std::vector<float> row(700, -kInf);
    for (size_t i = 0; i < finite_tokens; ++i) row[100 + 200 * i] = static_cast<float>(i);
    for (const int32_t top_k : {0, 5, 600})
      for (const double top_p : {1.0, 0.9})
        for (int draw = 0; draw < 4; ++draw)
          rows.add(row, wish(draw ? 1 : 0, top_k, top_p, 0, 4), rng.uniform(),
                   draw == 2 ? random_mask(700, 0.3, 9) : std::vector<uint32_t>{});
  }
  check_rows(rows);
}

TEST_CASE("sampling: NaN and plus infinity anywhere make a row invalid, and only that row") {
  Rows rows;
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), kInf, 0.0f})
    for (const size_t at : {0, 999}) {
      auto row = gaussian(1000, 2, 3);
      row[at] = bad;
      rows.add(row, wish(0.7, 20, 0.8), 0.4, random_mask(1000, 0.1, 4));
      rows.add(row, wish(0), 0);
    }
  check_rows(rows);
}

TEST_CASE("sampling: flat rows need more tokens than the list holds") {
  Rows rows;
  for (const double uniform : {0.01, 0.5, 0.99})
    for (const int32_t top_k : {0, 3000})
      rows.add(gaussian(6000, 0.1f, 11), wish(1.5, top_k, 0.9), uniform);
  check_rows(rows);
}

TEST_CASE("sampling: vocabularies up to the largest, ids above a row's vocabulary ignored") {
  Rows rows;
  rows.add(gaussian(262144, 3, 1), wish(0, 0, 1, 0, 5), 0);
  rows.add(gaussian(262144, 3, 2), wish(0.7, 20, 0.8), 0.6);
  rows.add(gaussian(151936, 3, 3), wish(0.6, 0, 0.95), 0.9);
  rows.add(gaussian(100, 3, 4), wish(1), 0.9);
  auto last = gaussian(262144, 3, 5);
  last[262143] = 50;
  rows.add(last, wish(0), 0);
  check_rows(rows);
  CHECK(rows.size() == 5);
}

TEST_CASE("sampling: every order of threads gives identical results") {
  Rng rng(12);
  Rows rows;
  for (const size_t vocab : {600, 4500})
    for (const int32_t top_k : {0, 20, 1100})
      for (const double top_p : {1.0, 0.7}) {
        auto row = gaussian(vocab, 2, rng.next());
        for (float& logit : row) logit = std::round(logit * 8) / 8;
        rows.add(row, wish(0.9, top_k, top_p, 0, 7), rng.uniform(), {},
                 random_seen(vocab, 40, rng.next()));
      }
  std::vector<std::vector<Sampled>> results;
  simt::for_each_order([&](simt::Stream stream, const std::string&) {
    results.push_back(run(stream, rows));
  });
  for (const auto& result : results)
    for (size_t i = 0; i < result.size(); ++i) {
      CHECK(result[i].token == results[0][i].token);
      CHECK(result[i].logprob == results[0][i].logprob);
      REQUIRE(result[i].top.size() == results[0][i].top.size());
      for (size_t j = 0; j < result[i].top.size(); ++j)
        CHECK(result[i].top[j].token == results[0][i].top[j].token);
    }
}

TEST_CASE("sampling: a row does not depend on its neighbours, and draws follow the distribution" *
          doctest::skip(kRacesAlone)) {
  simt::Emulator emulator;
  const std::vector<float> row = {0.0f, std::log(2.0f), std::log(5.0f), -40.0f};
  Rows rows;
  for (int i = 0; i < 64; ++i) rows.add(row, wish(1), (i + 0.5) / 64);
  const auto together = run(emulator.stream(), rows);
  int counts[4] = {};
  for (const Sampled& sampled : together) ++counts[sampled.token];
  CHECK(counts[0] == 8);
  CHECK(counts[1] == 16);
  CHECK(counts[2] == 40);
  CHECK(counts[3] == 0);
  Rows alone;
  alone.add(row, wish(1), rows.uniform[40]);
  const auto one = run(emulator.stream(), alone);
  CHECK(one[0].token == together[40].token);
  CHECK(one[0].logprob == together[40].logprob);
}

TEST_CASE("sampling: the comparison notices one changed logit") {
  simt::Emulator emulator;
  Rows rows;
  rows.add(gaussian(1000, 2, 1), wish(0, 0, 1, 0, 5), 0);
  const Sampled before = run(emulator.stream(), rows)[0];
  rows.logits[0][static_cast<size_t>(before.top[3].token)] += 1e-3f;
  const Sampled after = run(emulator.stream(), rows)[0];
  CHECK(!close(before.top[3].logprob, after.top[3].logprob));
  rows.logits[0][17] = 100;
  CHECK(run(emulator.stream(), rows)[0].token == 17);
}
