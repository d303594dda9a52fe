// The engine on the CUDA backend (emulated): the same scheduler, cache, grammar and sampler above
// other kernels. A batch of requests with shared prefixes gives the tokens of each alone when
// deterministic, a grammar-bound request its schema, and a lost device an answer to everybody.
#include "engine/engine.h"

#include <doctest/doctest.h>

#include <map>
#include <vector>

#include "engine/chat.h"
#include "engine/fit.h"
#include "engine/kernels/cuda/sampling/sampling.h"
#include "engine/model/model_source.h"
#include "tests/engine/kernels/cuda/model/emulated_accelerator.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::engine;

namespace {

const test::EmulatedAccelerator kAccelerator;
const SteadyClock kClock;

EngineConfig tiny(const std::string& device) {
  EngineConfig config;
  config.model = "synth:qwen3moe-tiny:F32:1";
  config.device = device;
  config.deterministic = true;
  config.kv_bytes_max = 1 << 20;
  config.context_max = 128;
  config.page_tokens = 4;
  config.prefill_batch_tokens = 16;
  config.max_running = 4;
  config.max_resident = 8;
  return config;
}

std::unique_ptr<Engine> open(const std::string& device) {
  auto engine = Engine::open(tiny(device), kClock, {}, &kAccelerator);
  if (!engine) FAIL(engine.error().to_text());
  return std::move(*engine);
}

std::vector<TokenId> prompt_of(int32_t request) {
  std::vector<TokenId> tokens;
  for (int32_t i = 0; i < 10; ++i) tokens.push_back(40 + i);            // shared by all
  for (int32_t i = 0; i <= request; ++i) tokens.push_back(60 + 7 * request + i);
  return tokens;
}

std::map<RequestId, std::vector<TokenId>> drain(Engine& engine) {
  std::map<RequestId, std::vector<TokenId>> tokens;
  for (int step = 0; !engine.idle(); ++step) {
    REQUIRE(step < 1000);
    for (const Output& output : engine.step())
      if (output.token >= 0) tokens[output.id].push_back(output.token);
    engine.check_integrity();
  }
  return tokens;
}

std::vector<TokenId> alone(Engine& engine, int32_t request) {
  const auto id = engine.submit({.prompt = prompt_of(request), .max_tokens = 5});
  REQUIRE(id.has_value());
  return drain(engine)[*id];
}

}  // namespace

TEST_CASE("cuda engine: greedy tokens of a batch are those of each request alone, as on the CPU") {
  const auto cuda = open("auto");
  CHECK(cuda->info().device.find("host:0") == 0);      // the emulator's device, not the CPU backend
  std::map<RequestId, int32_t> requests;
  for (int32_t i = 0; i < 6; ++i) {
    const auto id = cuda->submit({.prompt = prompt_of(i), .max_tokens = 5});
    REQUIRE(id.has_value());
    requests[*id] = i;
  }
  const auto together = drain(*cuda);
  CHECK(cuda->stats().prompt_tokens_cached > 0);
  const auto single = open("cuda:0"), cpu = open("cpu");
  for (const auto& [id, request] : requests) {
    CAPTURE(request);
    REQUIRE(together.contains(id));
    CHECK(together.at(id) == alone(*single, request));
    CHECK(together.at(id) == alone(*cpu, request));    // f32 weights: no close calls here
  }
}

TEST_CASE("cuda engine: forced portable kernels and the CPU give the same greedy tokens") {
  for (const bool deterministic : {false, true}) {
    EngineConfig config = tiny("cuda:0");
    config.kernels = "portable";
    config.deterministic = deterministic;
    auto portable = Engine::open(config, kClock, {}, &kAccelerator);
    REQUIRE(portable.has_value());
    CHECK((*portable)->info().device == "host:0 (host memory, portable kernels)");
    const auto cpu = open("cpu");
    for (const int32_t request : {0, 3}) {
      const auto tokens = alone(**portable, request);
      CHECK(tokens.size() == 5);
      CHECK(tokens == alone(*cpu, request));
    }
  }
  EngineConfig config = tiny("cuda:0");
  config.kernels = "sm90";
  const auto refused = Engine::open(config, kClock, {}, &kAccelerator);
  REQUIRE(refused.has_error());
  CHECK(refused.error().message ==
        "engine.kernels: expected one of auto, portable, found \"sm90\"");
}

TEST_CASE("cuda engine: a step allocates nothing and brings back tokens only, whatever is in it") {
  const auto engine = open("cuda:0");
  const int before = kAccelerator.backend->allocations();
  const size_t loaded = kAccelerator.backend->bytes_to_host();
  size_t tokens = 0;
  for (int32_t i = 0; i < 6; ++i) {      // prompts and decodes in the same steps, then penalties
    Request request{.prompt = prompt_of(i), .max_tokens = 5};
    if (i % 2 == 1) {
      request.sampling.temperature = 1.0;
      request.sampling.top_k = 5;
      request.sampling.presence_penalty = 0.5;
      request.sampling.logprobs = 3;
    }
    REQUIRE(engine->submit(std::move(request)).has_value());
    for (const Output& output : engine->step()) tokens += output.token >= 0;
  }
  for (const auto& [id, more] : drain(*engine)) tokens += more.size();
  CHECK(tokens == 30);
  CHECK(before > 0);
  CHECK(kAccelerator.backend->allocations() == before);
  // A row of logits has 4 bytes per token of the vocabulary; a result is a few numbers.
  CHECK(kAccelerator.backend->bytes_to_host() - loaded ==
        tokens * sizeof(kernels::cuda::SampleResult));
  CHECK(sizeof(kernels::cuda::SampleResult) < size_t(engine->info().vocab) * sizeof(float));
}

namespace {

// What became of three requests on a device that fails at its n-th call.
struct Session {
  std::string refusal;                   // of opening; "" = it opened
  int answered = 0, failed = 0;
  std::string error;                     // of the last that failed
  int calls_to_open = 0, calls = 0;
};

Session play(int fail_at) {
  test::EmulatedAccelerator accelerator;
  accelerator.verbs = fail_at;
  Session out;
  auto engine = Engine::open(tiny("cuda:0"), kClock, {}, &accelerator);
  if (!engine) {
    CHECK(engine.error().kind == ErrorKind::environment);
    out.refusal = engine.error().message;
    return out;
  }
  out.calls_to_open = accelerator.backend->calls();
  for (int32_t i = 0; i < 3; ++i) {
    const auto id = (*engine)->submit({.prompt = prompt_of(i), .max_tokens = 2});
    REQUIRE(id.has_value());
  }
  for (int step = 0; !(*engine)->idle(); ++step) {
    REQUIRE(step < 100);
    for (const Output& output : (*engine)->step()) {
      if (output.finish == Finish::none) continue;
      ++out.answered;
      if (output.finish != Finish::failed) continue;
      ++out.failed;
      CHECK(output.error_kind == ErrorKind::environment);
      out.error = output.error;
    }
  }
  out.calls = accelerator.backend->calls();
  return out;
}

}  // namespace

TEST_CASE("cuda engine: whichever call to the device fails, opening says so or all are answered") {
  const Session fine = play(-1);
  CHECK(fine.refusal.empty());
  CHECK(fine.answered == 3);
  CHECK(fine.failed == 0);
  REQUIRE(fine.calls_to_open > 40);      // every weight is a copy or more
  REQUIRE(fine.calls > fine.calls_to_open + 60);
  const int most = simt::kInstrumented ? 6 : 30;
  for (int i = 0; i < most; ++i) {
    const int at = i * fine.calls_to_open / most;
    CAPTURE(at);
    const Session session = play(at);
    CHECK_MESSAGE(session.refusal.find("was lost: ") != std::string::npos, session.refusal);
    CHECK(session.refusal.find(": broken on purpose") != std::string::npos);
  }
  // From the first call of the first step to the last one before the end.
  for (int i = 0; i < most; ++i) {
    const int at = fine.calls_to_open + i * (fine.calls - 1 - fine.calls_to_open) / (most - 1);
    CAPTURE(at);
    const Session session = play(at);
    CHECK(session.refusal.empty());
    CHECK(session.answered == 3);
    CHECK(session.failed > 0);
    CHECK_MESSAGE(session.error.find(": broken on purpose") != std::string::npos, session.error);
  }
}

TEST_CASE("cuda engine: a device that does not exist is refused by name") {
  const auto refused = Engine::open(tiny("cuda:3"), kClock, {}, &kAccelerator);
  REQUIRE(refused.has_error());
  CHECK(refused.error().kind == ErrorKind::environment);
  CHECK(refused.error().message.find("cuda:3") != std::string::npos);
  const auto without = Engine::open(tiny("cuda:0"), kClock);
  REQUIRE(without.has_error());
  CHECK(without.error().kind == ErrorKind::environment);
}

TEST_CASE("cuda engine: a model that does not fit is refused with the numbers") {
  EngineConfig config = tiny("cuda:0");
  config.kv_bytes_max = uint64_t{64} << 30;
  const auto refused = Engine::open(config, kClock, {}, &kAccelerator);
  REQUIRE(refused.has_error());
  CHECK(refused.error().kind == ErrorKind::environment);
  CHECK(refused.error().message.find("out of device memory: needs ") == 0);
  CHECK(refused.error().message.find("kv 64") != std::string::npos);
  CHECK(refused.error().message.find("What would fit: engine.kv_bytes_max ") != std::string::npos);
  CHECK(refused.error().message.find("engine.context_max ") != std::string::npos);
}

TEST_CASE("cuda engine: fit() and open() agree to the byte") {
  for (const int32_t residents : {1, 3}) {
    CAPTURE(residents);
    EngineConfig config = tiny("cuda:0");
    config.model = "synth:qwen3moe-tiny:Q4_K_M:1";
    config.k_type = "q8_0";
    config.v_type = "q4_0";
    config.kv_bytes_max = 0;
    config.max_running = 1;
    config.max_resident = residents;
    const auto found = fit({.config = config}, &kAccelerator);
    REQUIRE(found.has_value());
    CHECK(found->fits);
    kAccelerator.opened = nullptr;
    const auto engine = Engine::open(config, kClock, {}, &kAccelerator);
    REQUIRE(engine.has_value());
    REQUIRE(kAccelerator.opened != nullptr);
    const auto memory = kAccelerator.opened->memory();
    CHECK(memory->total_bytes - memory->free_bytes == found->total_bytes);
    CHECK((*engine)->info().kv_bytes == found->kv_bytes);
    CHECK((*engine)->info().memory.find("scratch") != std::string::npos);
    CHECK((*engine)->info().load > std::chrono::nanoseconds(0));
  }
}

TEST_CASE("cuda engine: without a limit KV takes what is free and no more") {
  EngineConfig config = tiny("cuda:0");
  config.kv_bytes_max = 0;
  config.max_resident = 4096;
  config.context_max = 0;                // 4096 contexts of 32768 tokens: far more than there is
  test::EmulatedAccelerator small;
  small.free_bytes = kernels::kDeviceReserveBytes + (uint64_t{64} << 20);
  const auto found = fit({.config = config}, &small);
  REQUIRE(found.has_value());
  CHECK_FALSE(found->fits);
  const auto engine = Engine::open(config, kClock, {}, &small);
  REQUIRE(engine.has_value());
  const auto memory = small.opened->memory();
  const uint64_t used = memory->total_bytes - memory->free_bytes + found->reserve_bytes;
  CHECK(used <= found->free_bytes);
  CHECK(used > found->free_bytes - 16384);   // a page of this model has 4096 bytes
}

TEST_CASE("cuda engine: a weight type without kernels is refused by tensor and type") {
  const auto file = model::open_model("synth:qwen3-tiny:F32:1");
  REQUIRE(file.has_value());
  formats::GgufBuilder builder;
  for (const auto& [key, value] : (*file)->metadata()) builder.set(key, value);
  for (const formats::TensorView& tensor : (*file)->tensors()) {
    if (tensor.name == "blk.0.attn_q.weight") {          // 256 x 256, zeros
      builder.add_tensor(tensor.name, tensor.dims, formats::TensorType::iq1_s,
                         std::vector<std::byte>(256 * 50));
    } else {
      builder.add_tensor(tensor.name, tensor.dims, tensor.type,
                         {tensor.data.begin(), tensor.data.end()});
    }
  }
  const test::TempDir dir;
  EngineConfig config = tiny("cuda:0");
  config.model = (dir.path() / "iq1.gguf").string();
  REQUIRE(builder.write(config.model).has_value());
  const auto refused = Engine::open(config, kClock, {}, &kAccelerator);
  REQUIRE(refused.has_error());
  CHECK(refused.error().kind == ErrorKind::unsupported);
  CHECK(refused.error().message.find("tensor blk.0.attn_q.weight: weight type IQ1_S is not "
                                     "supported on CUDA devices; it has F32, F16, Q4_0") !=
        std::string::npos);
  config.device = "cpu";
  CHECK(Engine::open(config, kClock, {}, &kAccelerator).has_value());
}
