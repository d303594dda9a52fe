// The hostile load (tests/hostile) on the CUDA backend, deterministic: greedy and sampled tokens
// and the bits of their log-probabilities do not depend on neighbours, chunks, pages, cache hits,
// preemption or order of arrival. Small in the emulator, larger on a card.
#include <doctest/doctest.h>

#include "engine/model/synth.h"
#include "tests/engine/kernels/cuda/model/emulated_device.h"
#include "tests/hostile/hostile_load.h"

using namespace swarm;
using namespace swarm::engine;

// Many steps of what the engine tests do once: nothing for a sanitizer.
TEST_CASE("cuda hostile: requests give what each gives alone, bit for bit, whatever the setting" *
          doctest::skip(simt::kInstrumented)) {
  const bool card = test::make_emulated_device()->info().kind == device::DeviceKind::cuda;
  const auto file = model::make_synthetic(
      {.preset = "qwen3moe-tiny", .type = "F32", .layers = card ? 0 : 1});
  REQUIRE(file.has_value());
  const auto open = [&](const sched::SchedulerLimits& limits) {
    auto opened = model::Transformer::open(
        *file, {.page_tokens = limits.page_tokens, .page_count = limits.page_count,
                .batch_tokens_max = limits.step_tokens_max(), .context = limits.context},
        test::open_emulated({}, {.deterministic = true}));
    SWARM_CHECK(opened.has_value(), opened.has_error() ? opened.error().to_text() : "");
    return std::move(*opened);
  };
  if (card) return test::check_all_settings(open, {.requests = 16});   // memcheck, too
  test::check_all_settings(open, {.requests = 6, .only = {"famine with pages of one token"}});
}
