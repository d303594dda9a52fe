// The hostile load on a model that is a formula, and on a real one on the CPU. On the CUDA backend:
// tests/engine/kernels/cuda/model/cuda_hostile_test.cpp.
#include <doctest/doctest.h>

#include "engine/model/synth.h"
#include "tests/hostile/hostile_load.h"
#include "tests/support/fake_transformer.h"

using namespace swarm;
using namespace swarm::engine;

namespace {

std::unique_ptr<model::Transformer> tiny_model(const sched::SchedulerLimits& limits) {
  static const auto file = model::make_synthetic({.preset = "qwen3moe-tiny", .type = "F32"});
  REQUIRE(file.has_value());
  auto opened = model::Transformer::open(
      *file, {.page_tokens = limits.page_tokens, .page_count = limits.page_count,
              .batch_tokens_max = limits.step_tokens_max(), .threads = 1});
  REQUIRE(opened.has_value());
  return std::move(*opened);
}

std::unique_ptr<model::Transformer> fake_model(const sched::SchedulerLimits& limits) {
  return std::make_unique<test::FakeTransformer>(256, limits.context, limits.page_count,
                                                 limits.page_tokens, limits.step_tokens_max());
}

// A sanitizer sees every path of the scheduler with the fake model; the real one is slow there.
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
const test::HostileLoad kRealLoad{.seeds = 1, .requests = 12};
#else
const test::HostileLoad kRealLoad{.seeds = 2, .requests = 32};
#endif

}  // namespace

TEST_CASE("hostile: 32 requests give what each gives alone, whatever the setting (fake model)") {
  test::check_all_settings(fake_model, {.seeds = 12});
}

TEST_CASE("hostile: requests give what each gives alone, bit for bit (qwen3moe on the CPU)") {
  test::check_all_settings(tiny_model, kRealLoad);
}
