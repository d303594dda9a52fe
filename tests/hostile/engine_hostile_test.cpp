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

}  // namespace

TEST_CASE("hostile: 32 requests give what each gives alone, whatever the setting (fake model)") {
  test::check_all_settings(fake_model, {.seeds = 12});
}

TEST_CASE("hostile: 32 requests give what each gives alone, bit for bit (qwen3moe on the CPU)") {
  test::check_all_settings(tiny_model, {.seeds = 2});
}
