// fit() against published figures of real files (the model's own cards), and against itself: what
// it says would fit does, and no more. That open() claims the same bytes: cuda_engine_test.cpp.
#include "engine/fit.h"

#include <doctest/doctest.h>

using namespace swarm;
using namespace swarm::engine;

namespace {

constexpr double kGB = 1e9;
constexpr uint64_t kGiB = uint64_t{1} << 30;

FitRequest request(const std::string& model, int32_t context, uint64_t memory) {
  FitRequest out;
  out.config.model = model;
  out.config.device = "cuda:0";
  out.config.context_max = context;
  out.config.max_running = out.config.max_resident = 1;
  out.memory_bytes = memory;
  return out;
}

Fit fitted(const FitRequest& wanted) {
  const auto out = fit(wanted);
  if (!out) FAIL(out.error().to_text());
  return *out;
}

FitRequest q4_k_m(uint64_t memory) {
  FitRequest out = request("synth:qwen3-30b-a3b:Q4_K_M", 131072, memory);
  out.config.k_type = "q8_0";
  out.config.v_type = "q4_0";
  return out;
}

}  // namespace

TEST_CASE("fit: Q4_K_M with 131072 tokens of q8_0/q4_0, as its card has it") {
  const Fit found = fitted(q4_k_m(24 * kGiB));
  // The card: 18.6 GB of weights, 39 KiB of KV per token, about 24.6 GiB in use by another engine
  // with its own buffers (its "18.6 GiB" are the GB of the file). Ours is below that.
  CHECK(double(found.weight_bytes) == doctest::Approx(18.6 * kGB).epsilon(0.01));
  CHECK(found.kv_bytes == uint64_t{131072} * 39 * 1024);
  CHECK(found.activation_bytes < kGiB / 2);
  CHECK(found.total_bytes + found.reserve_bytes < uint64_t(24.6 * double(kGiB)));
  CHECK(found.total_bytes >= found.weight_bytes + found.kv_bytes + found.activation_bytes);
  CHECK(found.fits);
  CHECK(found.most_residents == 1);
  CHECK(found.largest_context >= 131072);
  const Fit small = fitted(q4_k_m(22 * kGiB));
  CHECK_FALSE(small.fits);
  CHECK(small.total_bytes == found.total_bytes);
  CHECK(small.most_residents == 0);
  CHECK(small.largest_context > 65536);
  CHECK(small.largest_context < 131072);
}

TEST_CASE("fit: 2-bit experts with 16384 tokens of f16 take 16 GB") {
  const Fit found = fitted(request("synth:qwen3-30b-a3b:IQ2_S_IQ3_S", 16384, uint64_t(16 * kGB)));
  CHECK(double(found.weight_bytes) == doctest::Approx(11.4 * kGB).epsilon(0.01));   // the card's
  CHECK(found.kv_bytes == kGiB / 2 * 3);                                            // "1.5 GB"
  CHECK(double(found.total_bytes) < 14 * kGB);                                      // "about 14 GB"
  CHECK(found.fits);
}

TEST_CASE("fit: what would fit does, and nothing larger") {
  const Fit found = fitted(q4_k_m(23 * kGiB));
  FitRequest longest = q4_k_m(23 * kGiB);
  longest.config.context_max = found.largest_context;
  CHECK(fitted(longest).fits);
  longest.config.context_max += longest.config.page_tokens;
  CHECK_FALSE(fitted(longest).fits);
  FitRequest most = q4_k_m(40 * kGiB);
  most.config.max_resident = fitted(most).most_residents;
  CHECK(most.config.max_resident >= 3);
  CHECK(fitted(most).fits);
  most.config.max_resident += 1;
  CHECK_FALSE(fitted(most).fits);
}

TEST_CASE("fit: on the CPU weights count where the file has them, and nothing is reserved") {
  FitRequest wanted = q4_k_m(32 * kGiB);
  wanted.config.device = "cpu";
  const Fit found = fitted(wanted);
  CHECK(double(found.weight_bytes) == doctest::Approx(18.55 * kGB).epsilon(5e-4));
  CHECK(found.kv_bytes == uint64_t{131072} * 39 * 1024);
  CHECK(found.reserve_bytes == 0);
  CHECK(found.fits);
}

TEST_CASE("fit: bad questions are refused") {
  FitRequest wanted = q4_k_m(24 * kGiB);
  wanted.memory_bytes.reset();
  auto out = fit(wanted);                        // no such device in this build
  REQUIRE(out.has_error());
  CHECK(out.error().kind == ErrorKind::environment);
  wanted = q4_k_m(24 * kGiB);
  wanted.config.k_type = "q5_0";
  out = fit(wanted);
  REQUIRE(out.has_error());
  CHECK(out.error().kind == ErrorKind::invalid_input);
}
