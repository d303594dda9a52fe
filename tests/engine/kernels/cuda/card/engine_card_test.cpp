// The engine as a program opens it, on the card that engine.device names: what it claims there is
// what fit() said, what does not fit is refused before anything is claimed, and greedy tokens are
// those of the CPU, alone and together, with our own kernels alone and without.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "engine/base/clock.h"
#include "engine/engine.h"
#include "engine/fit.h"
#include "engine/kernels/accelerator.h"
#include "engine/kernels/linked_accelerator.h"

using namespace swarm;
using namespace swarm::engine;

namespace {

const SteadyClock kClock;

uint64_t free_bytes() { return kernels::linked_accelerator()->memory(0).value().free_bytes; }

std::unique_ptr<Engine> open(const EngineConfig& config) {
  auto engine = Engine::open(config, kClock, {}, kernels::linked_accelerator());
  REQUIRE_MESSAGE(engine.has_value(), (engine ? "" : engine.error().to_text()));
  return std::move(*engine);
}

// f32 weights: no close calls between backends.
EngineConfig tiny(const std::string& device) {
  EngineConfig config;
  config.model = "synth:qwen3moe-tiny:F32";
  config.device = device;
  config.kv_bytes_max = 16 << 20;
  config.context_max = 256;
  config.page_tokens = 4;
  config.prefill_batch_tokens = 16;
  config.max_running = 4;
  config.max_resident = 8;
  return config;
}

constexpr int32_t kRequests = 6;

std::vector<TokenId> prompt_of(int32_t request) {
  std::vector<TokenId> tokens;
  for (int32_t i = 0; i < 10; ++i) tokens.push_back(40 + i);            // shared by all
  for (int32_t i = 0; i <= request; ++i) tokens.push_back(60 + 7 * request + i);
  return tokens;
}

// Greedy tokens of the requests [first, last), submitted at once.
std::vector<std::vector<TokenId>> answers(Engine& engine, int32_t first, int32_t last) {
  std::vector<RequestId> ids;
  for (int32_t i = first; i < last; ++i)
    ids.push_back(engine.submit({.prompt = prompt_of(i), .max_tokens = 20}).value());
  std::vector<std::vector<TokenId>> tokens(ids.size());
  for (int step = 0; !engine.idle(); ++step) {
    REQUIRE(step < 1000);
    for (const Output& output : engine.step())
      for (size_t i = 0; i < ids.size(); ++i)
        if (ids[i] == output.id && output.token >= 0) tokens[i].push_back(output.token);
  }
  engine.check_integrity();
  return tokens;
}

}  // namespace

TEST_CASE("engine on a card: auto takes it, and what it claims is what fit said, within 2 %") {
  EngineConfig config;
  config.model = "synth:qwen3-30b-a3b:Q8_0:4";
  config.context_max = 8192;
  config.max_running = config.max_resident = 8;
  const auto said = fit({.config = config}, kernels::linked_accelerator());
  REQUIRE(said.has_value());
  CHECK(said->device == "cuda:0");
  REQUIRE(said->fits);
  const uint64_t before = free_bytes();
  {
    const auto engine = open(config);
    CHECK(engine->info().device.starts_with("cuda:0 ("));
    const auto claimed = static_cast<double>(before - free_bytes());
    const auto wanted = static_cast<double>(said->total_bytes);
    CAPTURE(claimed);
    CAPTURE(wanted);
    CHECK(claimed >= 0.98 * wanted);
    CHECK(claimed <= 1.02 * wanted);
    CHECK(engine->info().kv_bytes == said->kv_bytes);
  }
  CHECK(free_bytes() + (uint64_t{64} << 20) >= before);      // it gave its memory back
}

TEST_CASE("engine on a card: what does not fit is refused with the numbers, and claims nothing") {
  EngineConfig config = tiny("cuda:0");
  config.kv_bytes_max = uint64_t{1} << 40;
  const uint64_t before = free_bytes();
  const auto refused = Engine::open(config, kClock, {}, kernels::linked_accelerator());
  REQUIRE(refused.has_error());
  CHECK(refused.error().kind == ErrorKind::environment);
  CHECK(refused.error().message.find("out of device memory: needs ") == 0);
  CHECK(refused.error().message.find("What would fit: engine.kv_bytes_max ") != std::string::npos);
  CHECK(free_bytes() + (uint64_t{64} << 20) >= before);
}

TEST_CASE("engine on a card: a card that is not there is refused by name") {
  const auto refused = Engine::open(tiny("cuda:99"), kClock, {}, kernels::linked_accelerator());
  REQUIRE(refused.has_error());
  CHECK(refused.error().kind == ErrorKind::environment);
  CHECK(refused.error().message.find("no device \"cuda:99\": there are ") == 0);
}

TEST_CASE("engine on a card: greedy tokens together are those alone and those of the CPU") {
  const auto cpu = open(tiny("cpu"));
  const auto want = answers(*cpu, 0, kRequests);
  CHECK(want[0].size() == 20);
  for (const bool deterministic : {true, false})
    for (const char* kernels : {"auto", "portable"}) {
      CAPTURE(deterministic);
      CAPTURE(std::string(kernels));
      EngineConfig config = tiny("cuda:0");
      config.deterministic = deterministic;
      config.kernels = kernels;
      const auto together = open(config);
      CHECK(answers(*together, 0, kRequests) == want);
      CHECK(together->stats().prompt_tokens_cached > 0);
      const auto one_by_one = open(config);
      for (int32_t i = 0; i < kRequests; ++i) {
        CAPTURE(i);
        CHECK(answers(*one_by_one, i, i + 1)[0] == want[static_cast<size_t>(i)]);
      }
    }
}

TEST_CASE("engine on a card: sampled tokens come back with their log-probabilities") {
  const auto engine = open(tiny("cuda:0"));
  Request request{.prompt = prompt_of(1), .max_tokens = 20};
  request.sampling = {.temperature = 0.8, .top_k = 20, .top_p = 0.9, .presence_penalty = 0.5,
                      .seed = 7, .logprobs = 3};
  const RequestId id = engine->submit(request).value();
  size_t tokens = 0;
  for (int step = 0; !engine->idle(); ++step) {
    REQUIRE(step < 1000);
    for (const Output& output : engine->step()) {
      CHECK(output.id == id);
      CHECK(output.error == "");
      if (output.token < 0) continue;
      ++tokens;
      CHECK(output.logprob <= 0.0f);
      REQUIRE(output.top.size() == 3);
      CHECK(output.top[0].logprob >= output.top[2].logprob);
    }
  }
  CHECK(tokens == 20);
}
