// The bridge between strand and engine thread, with a real engine on random weights.
#include <doctest/doctest.h>

#include <boost/asio/this_coro.hpp>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include "agents/agent.h"
#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "engine/base/async/run.h"
#include "engine/kernels/accelerator.h"
#include "orchestrator/models/engine_model.h"
#include "orchestrator/models/models.h"
#include "tests/support/support.h"
#include "tools/tool.h"

using namespace swarm;
using namespace swarm::models;

namespace {

const Json kSchema = Json::parse(R"({"type": "object", "properties": {
    "word": {"type": "string", "maxLength": 8},
    "n": {"type": "integer", "minimum": 0, "maximum": 99}},
    "required": ["word", "n"], "additionalProperties": false})");

std::unique_ptr<EngineThread> open_thread(const Clock& clock) {
  engine::EngineConfig config;
  config.model = "synth:qwen3moe-tiny:F32:2";
  config.kv_bytes_max = 4 << 20;
  config.context_max = 1024;
  config.threads = 1;
  auto thread = EngineThread::start(config, clock);
  if (!thread) FAIL(thread.error().to_text());
  return std::move(*thread);
}

agents::ModelRequest ask(const std::string& label, uint64_t seed) {
  agents::ModelRequest request;
  request.label = label;
  agents::Message system, user;
  system.role = agents::Role::system;
  system.content = "A protocol that everybody shares, long enough to fill some pages of the cache.";
  user.role = agents::Role::user;
  user.content = "You are " + label + ".";
  request.messages = {system, user};
  request.output_schema = kSchema;
  request.sampling.temperature = 1.5;
  request.sampling.seed = seed;
  request.max_tokens = 200;
  return request;
}

// Waits until the engine has nothing to do; bounded.
Async<bool> becomes_idle(const EngineThread& thread) {
  const SteadyClock clock;
  for (int i = 0; i < 2000; ++i) {
    const engine::EngineStats stats = thread.stats();
    if (stats.running == 0 && stats.waiting == 0) co_return true;
    co_await wait_until(steady_clock(), clock.now() + std::chrono::milliseconds(5));
  }
  co_return false;
}

}  // namespace

TEST_CASE("engine model: agents of one turn are one batch and share their prefix") {
  const SteadyClock clock;
  boost::asio::io_context io(1);
  const auto thread = open_thread(clock);
  EngineModel model("m", *thread, io.get_executor());
  std::vector<agents::ModelReply> replies(6);
  run_root(io, with_nursery([&](Nursery& nursery) -> Async<> {
             for (size_t i = 0; i < replies.size(); ++i)
               nursery.start([&, i]() -> Async<> {
                 agents::ModelRequest request = ask("A" + std::to_string(i), i);
                 replies[i] = co_await model.generate(std::move(request));
               });
             co_return;
           }));
  int with_cache = 0;
  double batch_max = 0;
  for (const agents::ModelReply& reply : replies) {
    CAPTURE(reply.content);
    CHECK(reply.finish == agents::FinishReason::stop);
    CHECK(tools::validate_json(kSchema, parse_json(reply.content).value()).has_value());
    CHECK(reply.usage.prompt_tokens ==
          reply.usage.cached_tokens + reply.usage.computed_tokens);
    with_cache += reply.usage.cached_tokens > 0;
    batch_max = std::max(batch_max, reply.usage.batch_mean);
  }
  CHECK(with_cache == 5);   // one computes the shared pages, five find them
  CHECK(batch_max > 1.5);   // they were decoded together
  CHECK(thread->stats().running == 0);
}

TEST_CASE("engine model: a schema beyond the grammar still binds the call to what can be held") {
  const SteadyClock clock;
  boost::asio::io_context io(1);
  const auto thread = open_thread(clock);
  EngineModel model("m", *thread, io.get_executor());
  agents::ModelRequest request = ask("A", 1);
  request.output_schema.reset();
  tools::ToolSpec spec;
  spec.name = "pick";
  spec.parameters = parse_json(R"({"type": "object", "properties": {
      "n": {"type": "integer", "minimum": 0, "maximum": 9}}, "required": ["n"],
      "additionalProperties": false, "not": {"properties": {"n": {"const": 3}}}})").value();
  request.tools = {spec};
  request.tool_choice = agents::ToolChoice::required;
  const agents::ModelReply reply = run_root(io, model.generate(request));
  REQUIRE_FALSE(reply.tool_calls.empty());
  for (const agents::ToolCall& call : reply.tool_calls) {
    Json schema = spec.parameters;
    schema.erase("not");
    CHECK(call.name == "pick");
    CHECK(tools::validate_json(schema, call.arguments).has_value());
  }
}

TEST_CASE("engine model: a reply that its budget cuts says so, and has no unfinished call") {
  const SteadyClock clock;
  boost::asio::io_context io(1);
  const auto thread = open_thread(clock);
  EngineModel model("m", *thread, io.get_executor());
  tools::ToolSpec spec;
  spec.name = "write_file";
  spec.parameters = parse_json(R"({"type": "object", "properties": {"path": {"type": "string"},
      "content": {"type": "string"}}, "required": ["path", "content"],
      "additionalProperties": false})").value();
  int called = 0, cut = 0;
  for (uint64_t seed = 0; seed < 6; ++seed) {
    agents::ModelRequest request = ask("A", seed);
    request.output_schema.reset();
    request.tools = {spec};
    request.tool_choice = agents::ToolChoice::required;
    request.max_tokens = 100;
    const agents::ModelReply reply = run_root(io, model.generate(request));
    if (reply.finish != agents::FinishReason::length) continue;
    ++cut;
    called += reply.tool_calls.empty() ? 0 : 1;
    REQUIRE(reply.malformed_calls.size() == 1);
    CHECK(reply.malformed_calls[0].starts_with("<tool_call>"));
    CHECK_FALSE(reply.malformed_calls[0].ends_with("</tool_call>"));
  }
  CHECK(cut >= 3);
  CHECK(called == 0);
  cut = 0;
  for (uint64_t seed = 0; seed < 6; ++seed) {
    agents::ModelRequest request = ask("A", seed);
    request.output_schema = parse_json(R"({"type": "object", "properties": {
        "status": {"type": "string"}, "is_complete": {"type": "boolean"}},
        "required": ["status", "is_complete"], "additionalProperties": false})").value();
    request.max_tokens = 40;
    std::string streamed;
    request.on_progress = [&](const agents::Progress& progress) { streamed += progress.text; };
    const agents::ModelReply reply = run_root(io, model.generate(request));
    if (reply.finish != agents::FinishReason::length) continue;
    ++cut;
    CHECK(streamed == reply.content);
    CHECK(reply.content.starts_with("{\"status\":"));
    CHECK_FALSE(parse_json(reply.content).has_value());   // as far as it was said
  }
  CHECK(cut >= 2);
}

TEST_CASE("engine model: what workers say has no blank descriptor, in both forms") {
  const SteadyClock clock;
  boost::asio::io_context io(1);
  const auto thread = open_thread(clock);
  EngineModel model("m", *thread, io.get_executor());
  constexpr uint64_t kSeeds = test::kInstrumented ? 3 : 12;
  int whole = 0, cut = 0;
  for (const auto format : {agents::OutputFormat::json, agents::OutputFormat::tags})
    for (uint64_t seed = 0; seed < kSeeds; ++seed) {
      agents::ModelRequest request = ask("A", seed);
      request.output_schema = agents::worker_schema({});
      request.output_format = format;
      request.max_tokens = 500;
      const agents::ModelReply reply = run_root(io, model.generate(request));
      agents::PassResult result;
      result.content = reply.content;
      result.format = format;
      const agents::WorkerMessage message = agents::parse_worker(result);
      CAPTURE(reply.content);
      const bool complete = reply.finish == agents::FinishReason::stop;
      ++(complete ? whole : cut);
      if (!complete) continue;
      CHECK(message.cut.empty());
      CHECK_FALSE(message.query.empty());
      CHECK_FALSE(message.key.empty());
      CHECK(reply.content.starts_with(format == agents::OutputFormat::json ? "{" : "<public>"));
    }
  CHECK(whole >= static_cast<int>(kSeeds / 3));
  MESSAGE("whole: ", whole, ", cut: ", cut);
}

TEST_CASE("engine model: progress tells queue, prefill and decode, and adds up to the reply") {
  const SteadyClock clock;
  boost::asio::io_context io(1);
  const auto thread = open_thread(clock);
  EngineModel model("m", *thread, io.get_executor());
  std::string streamed, phases;
  int32_t prompt_tokens = 0, output_tokens = 0;
  agents::ModelRequest request = ask("A", 1);
  request.on_progress = [&](const agents::Progress& progress) {
    streamed += progress.text;
    prompt_tokens += progress.prompt_tokens;
    output_tokens += progress.output_tokens;
    const std::string phase(to_string(progress.phase));
    if (!phases.ends_with(phase)) phases += " " + phase;
  };
  const agents::ModelReply reply = run_root(io, model.generate(std::move(request)));
  CHECK(streamed == reply.content);
  CHECK(phases == " queue prefill decode");
  CHECK(prompt_tokens == reply.usage.prompt_tokens);
  CHECK(output_tokens == reply.usage.output_tokens);
}

TEST_CASE("engine model: an observer that throws ends the call and frees the engine") {
  const SteadyClock clock;
  boost::asio::io_context io(1);
  const auto thread = open_thread(clock);
  EngineModel model("m", *thread, io.get_executor());
  agents::ModelRequest request = ask("A", 1);
  request.on_progress = [](const agents::Progress& progress) {
    if (progress.phase == agents::Phase::decode) throw ErrorException(failed("enough"));
  };
  CHECK_THROWS_AS(run_root(io, model.generate(std::move(request))), ErrorException);
  CHECK(run_root(io, becomes_idle(*thread)));
}

TEST_CASE("engine model: cancelling in the middle of a decode frees the engine") {
  const SteadyClock clock;
  boost::asio::io_context io(1);
  const auto thread = open_thread(clock);
  EngineModel model("m", *thread, io.get_executor());
  bool idle = false;
  std::vector<agents::Usage> cut;
  const auto body = [&]() -> Async<> {
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      nursery.start([&]() -> Async<> {
        agents::ModelRequest request = ask("A", 1);
        request.output_schema.reset();
        request.max_tokens = 900;
        request.on_progress = [&](const agents::Progress& progress) {
          if (progress.phase == agents::Phase::decode) nursery.cancel();
        };
        request.on_cut_off = [&](const agents::Usage& usage) { cut.push_back(usage); };
        co_await model.generate(std::move(request));
      });
      co_return;
    });
  };
  const auto all = [&]() -> Async<> {
    try {
      co_await body();
    } catch (...) {
      CHECK(is_cancellation(std::current_exception()));
    }
    co_await boost::asio::this_coro::throw_if_cancelled(false);
    idle = co_await becomes_idle(*thread);
  };
  run_root(io, all());
  CHECK(idle);
  CHECK(thread->stats().output_tokens < 900);
  // What it had cost until then is told once, exactly.
  REQUIRE(cut.size() == 1);
  CHECK(cut[0].computed_tokens == cut[0].prompt_tokens);
  CHECK(cut[0].output_tokens >= 1);
  CHECK(static_cast<uint64_t>(cut[0].output_tokens) == thread->stats().output_tokens);
}

TEST_CASE("engine model: a call that is given up before it left cost nothing") {
  const SteadyClock clock;
  boost::asio::io_context io(1);
  const auto thread = open_thread(clock);
  EngineModel model("m", *thread, io.get_executor());
  agents::ModelRequest request = ask("A", 1);
  int told = 0;
  request.on_progress = [](const agents::Progress&) { throw ErrorException(failed("no")); };
  request.on_cut_off = [&](const agents::Usage&) { ++told; };
  CHECK_THROWS_AS(run_root(io, model.generate(std::move(request))), ErrorException);
  CHECK(told == 0);
  CHECK(run_root(io, model.generate(ask("B", 2))).finish == agents::FinishReason::stop);
  CHECK(thread->stats().prompt_tokens_submitted > 0);
}

TEST_CASE("engine model: a passed deadline is a finish, an impossible prompt an error") {
  const SteadyClock clock;
  boost::asio::io_context io(1);
  const auto thread = open_thread(clock);
  EngineModel model("m", *thread, io.get_executor());
  agents::ModelRequest late = ask("A", 1);
  late.deadline = Deadline::after(clock, std::chrono::nanoseconds(0));
  CHECK(run_root(io, model.generate(std::move(late))).finish == agents::FinishReason::deadline);
  agents::ModelRequest huge = ask("A", 1);
  huge.messages[1].content = std::string(20000, 'x');
  CHECK_THROWS_AS(run_root(io, model.generate(std::move(huge))), ErrorException);
  CHECK(run_root(io, model.generate(ask("B", 2))).finish == agents::FinishReason::stop);
}

TEST_CASE("engine thread: leaving with work in flight answers every request") {
  const SteadyClock clock;
  boost::asio::io_context io(1);
  auto thread = open_thread(clock);
  const auto channel = std::make_shared<ProgressChannel>(1000);
  EngineThread::Job job;
  job.ticket = thread->next_ticket();
  job.request.prompt = thread->codec().tokenize("hello", false);
  job.request.max_tokens = 900;
  job.channel = channel;
  std::vector<EngineThread::Job> jobs;
  jobs.push_back(std::move(job));
  thread->submit(std::move(jobs));
  thread.reset();
  int finals = 0;
  while (const auto progress = channel->try_receive())
    finals += progress->finish != engine::Finish::none;
  CHECK(finals == 1);
}

TEST_CASE("engine thread: what its queue has no room for is refused as overloaded") {
  const SteadyClock clock;
  engine::EngineConfig config;
  config.model = "synth:qwen3moe-tiny:F32:2";
  config.kv_bytes_max = 4 << 20;
  config.context_max = 1024;
  config.threads = 1;
  config.queue_depth_max = 2;
  auto thread = EngineThread::start(config, clock).value();
  const auto channel = std::make_shared<ProgressChannel>(1000);
  std::vector<EngineThread::Job> jobs;
  for (int i = 0; i < 5; ++i) {
    EngineThread::Job job;
    job.ticket = thread->next_ticket();
    job.request.prompt = thread->codec().tokenize("hello", false);
    job.request.max_tokens = 4;
    job.channel = channel;
    jobs.push_back(std::move(job));
  }
  thread->submit(std::move(jobs));
  thread.reset();
  int refused = 0, finals = 0;
  while (const auto progress = channel->try_receive()) {
    finals += progress->finish != engine::Finish::none;
    if (!progress->refused) continue;
    ++refused;
    CHECK(progress->refused->kind == ErrorKind::overloaded);
  }
  CHECK(refused == 3);
  CHECK(finals == 2);
}

TEST_CASE("engine thread: a stop ends the making of weights") {
  const SteadyClock clock;
  engine::EngineConfig config;
  config.model = "synth:qwen3-30b-a3b:Q4_K_M:40";  // minutes, and more memory than there is
  std::stop_source stop;
  stop.request_stop();
  const auto thread = EngineThread::start(config, clock, stop.get_token());
  REQUIRE(thread.has_error());
  CHECK(thread.error().kind == ErrorKind::cancelled);
}

TEST_CASE("engine pool: equal configurations share an engine, others do not") {
  const SteadyClock clock;
  EnginePool pool;
  engine::EngineConfig config;
  config.model = "synth:qwen3-tiny:F32:1";
  config.kv_bytes_max = 1 << 20;
  config.context_max = 256;
  config.threads = 1;
  std::vector<std::shared_ptr<EngineThread>> same(4);
  {
    std::vector<std::jthread> callers;             // at once: one opens, the others wait for it
    for (auto& mine : same)
      callers.emplace_back([&] { mine = pool.open(config, clock).value(); });
  }
  for (const auto& mine : same) CHECK(mine == same[0]);
  config.k_type = "f32";
  CHECK(pool.open(config, clock).value() != same[0]);
}

TEST_CASE("engine pool: a failed opening is tried again") {
  const SteadyClock clock;
  EnginePool pool;
  engine::EngineConfig config;
  config.model = "synth:qwen3-tiny:F32:1";
  config.kv_bytes_max = 1 << 20;
  config.context_max = 256;
  std::stop_source stop;
  stop.request_stop();
  const auto stopped = pool.open(config, clock, stop.get_token());
  REQUIRE(stopped.has_error());
  CHECK(stopped.error().kind == ErrorKind::cancelled);
  CHECK(pool.open(config, clock).has_value());
}

namespace {

// A device whose driver does what no driver should.
class ThrowingAccelerator final : public engine::kernels::Accelerator {
 public:
  Result<std::optional<int32_t>> choose(std::string_view) const override {
    throw std::runtime_error("the driver fell over");
  }
  const engine::kernels::Footprint& footprint() const override {
    return engine::kernels::host_footprint();
  }
  Result<engine::device::DeviceMemory> memory(int32_t) const override {
    return environment_error("unused");
  }
  Result<std::unique_ptr<engine::kernels::Kernels>> open(
      int32_t, const engine::kernels::AcceleratorOptions&) const override {
    return environment_error("unused");
  }
};

}  // namespace

TEST_CASE("engine pool: whatever ends an opening, nobody waits for it any longer") {
  const SteadyClock clock;
  const ThrowingAccelerator accelerator;
  EnginePool pool(&accelerator);
  engine::EngineConfig config;
  config.model = "synth:qwen3-tiny:F32:1";
  std::vector<std::string> messages(4);
  {
    std::vector<std::jthread> callers;
    for (auto& mine : messages)
      callers.emplace_back([&] { mine = pool.open(config, clock).error().message; });
  }
  for (const std::string& message : messages)
    CHECK(message == "synth:qwen3-tiny:F32:1: the driver fell over");
}

TEST_CASE("script: replies are read from JSON, mistakes are named") {
  const auto steps = parse_script(R"({"replies": [
      {"label": "A", "content": {"x": 1}},
      {"content": "text", "delay": "10ms", "pattern": "go"},
      {"tool_calls": [{"name": "t", "arguments": {"a": 1}}]},
      {"error": "boom"}]})",
                                  "s.json")
                         .value();
  REQUIRE(steps.size() == 4);
  CHECK(steps[0].reply.content == R"({"x":1})");
  CHECK(steps[1].delay == std::chrono::milliseconds(10));
  CHECK(steps[2].reply.tool_calls[0].arguments == Json{{"a", 1}});
  CHECK(steps[3].thrown->message == "boom");
  for (const char* bad : {"[]", "{}", R"({"replies": [{"lable": "A"}]})", R"({"replies": [1]})",
                          R"({"replies": [{"tool_calls": [{}]}]})",
                          R"({"replies": [{"pattern": "("}]})"})
    CHECK(parse_script(bad, "s.json").has_error());
}
