// What a run tells the engine about its conversations: what is forgotten, stays, is pinned.
// A real engine on random weights; its pages and what it finds in its cache are the witnesses.
#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/async/deadline.h"
#include "engine/base/async/run.h"
#include "orchestrator/models/engine_model.h"

using namespace swarm;
using namespace swarm::models;

namespace {

constexpr int32_t kContext = 384;
constexpr int32_t kPage = 16;
const std::string kSystem =
    "A protocol that everybody shares, long enough to fill some pages of the cache.";

std::unique_ptr<EngineThread> open_small_thread(const Clock& clock, uint64_t kv_bytes) {
  engine::EngineConfig config;
  config.model = "synth:qwen3moe-tiny:F32:1";
  config.kv_bytes_max = kv_bytes;
  config.context_max = kContext;
  config.page_tokens = kPage;
  config.threads = 1;
  auto thread = EngineThread::start(config, clock);
  if (!thread) FAIL(thread.error().to_text());
  return std::move(*thread);
}

uint64_t bytes_of_pages(const Clock& clock, uint64_t pages) {
  const auto thread = open_small_thread(clock, 1 << 20);
  return pages * thread->info().kv_bytes / static_cast<uint64_t>(thread->stats().pages_total);
}

agents::Message say(agents::Role role, const std::string& text) {
  agents::Message out;
  out.role = role;
  out.content = text;
  return out;
}

agents::ModelRequest asking(const std::string& user, const std::string& context = "") {
  agents::ModelRequest request;
  request.messages = {say(agents::Role::system, kSystem), say(agents::Role::user, user)};
  request.sampling.temperature = 0;
  request.max_tokens = 24;
  request.hints.context = context;
  return request;
}

// A run of its own: a model on the engine of all, with its strand.
struct Run {
  explicit Run(EngineThread& thread) : model("m", thread, io.get_executor()) {}
  agents::ModelReply generate(agents::ModelRequest request) {
    return run_root(io, model.generate(std::move(request)));
  }
  boost::asio::io_context io{1};
  EngineModel model;
};

// Hints are followed on the engine's thread.
bool becomes(const EngineThread& thread, const std::function<bool(engine::EngineStats)>& wanted) {
  boost::asio::io_context io(1);
  const auto wait = [&]() -> Async<bool> {
    const SteadyClock clock;
    for (int i = 0; i < 2000; ++i) {
      if (wanted(thread.stats())) co_return true;
      co_await wait_until(steady_clock(), clock.now() + std::chrono::milliseconds(2));
    }
    co_return false;
  };
  return run_root(io, wait());
}

int32_t cached_pages(const EngineThread& thread) { return thread.stats().pages_cached; }

}  // namespace

TEST_CASE("hints: a conversation that is over leaves its beginning, or nothing") {
  const SteadyClock clock;
  const auto thread = open_small_thread(clock, 1 << 20);
  Run run(*thread);
  const std::string memory = "Role: A.\nMemory:\n[1] me: something that I said before.\nGoal: ";
  agents::ModelRequest request = asking(memory + std::string(120, 'g'), "t/A");
  request.hints.keep_for = std::chrono::hours(1);
  const agents::ModelReply reply = run.generate(std::move(request));
  const int32_t whole = cached_pages(*thread);
  const int32_t length = reply.usage.prompt_tokens + reply.usage.output_tokens;
  CHECK(whole >= length / kPage);

  const std::vector<agents::Message> again = asking(memory).messages;
  run.model.release("t/A", again);
  run.model.release("t/other", again);                   // unknown: nothing happens
  CHECK(becomes(*thread, [&](const auto& stats) { return stats.pages_cached < whole - 5; }));
  const int32_t stays = cached_pages(*thread);
  // What the next prompt has in common with this one is still there, to the token.
  Run other(*thread);
  const agents::ModelReply next = other.generate(asking(memory + "zzz goal"));
  const int32_t common = next.usage.cached_tokens;
  CHECK(common > 100);
  CHECK(stays == (common + kPage - 1) / kPage);

  // What lies in the cache besides is not its own.
  Run fresh(*thread);
  fresh.generate(asking("x", "t/B"));
  const int32_t before = cached_pages(*thread);
  fresh.model.release("t/B", {});
  CHECK(becomes(*thread, [&](const auto& stats) { return stats.pages_cached < before; }));
  run.model.release("t/A", asking("").messages);
  CHECK(other.generate(asking(memory + "zzz goal")).usage.cached_tokens > common);
}

TEST_CASE("hints: with nothing that comes again every page is free") {
  const SteadyClock clock;
  const auto thread = open_small_thread(clock, 1 << 20);
  Run run(*thread);
  agents::ModelRequest request = asking("hello", "t/A");
  request.hints.keep_for = std::chrono::hours(1);
  run.generate(std::move(request));
  CHECK(cached_pages(*thread) > 0);
  run.model.release("t/A", {});
  CHECK(becomes(*thread, [](const auto& s) { return s.pages_free == s.pages_total; }));
}

TEST_CASE("hints: of a call that was cut off nothing stays either") {
  const SteadyClock clock;
  const auto thread = open_small_thread(clock, 1 << 20);
  Run run(*thread);
  agents::ModelRequest request = asking("hello", "t/A");
  request.max_tokens = 200;
  request.output_schema = Json{{"type", "string"}, {"minLength", 150}};   // it talks on
  int32_t said = 0;
  request.on_progress = [&](const agents::Progress& progress) {
    said += progress.output_tokens;
    if (said > 60) throw ErrorException(failed("enough"));
  };
  CHECK_THROWS_AS(run.generate(std::move(request)), ErrorException);
  CHECK(cached_pages(*thread) > 60 / kPage);
  run.model.release("t/A", {});
  CHECK(becomes(*thread, [](const auto& s) { return s.pages_free == s.pages_total; }));
}

TEST_CASE("hints: what a turn leaves behind that the next one does not go on from is forgotten") {
  const SteadyClock clock;
  const auto thread = open_small_thread(clock, 1 << 20);
  Run run(*thread);
  agents::ModelRequest first = asking("one " + std::string(100, 'a'), "t/A");
  first.hints.keep_for = std::chrono::hours(1);
  run.generate(std::move(first));
  const agents::ModelReply second = run.generate(asking("two " + std::string(10, 'b'), "t/A"));
  CHECK(second.usage.cached_tokens >= 80);               // the system message
  const int32_t length = second.usage.prompt_tokens + second.usage.output_tokens;
  CHECK(cached_pages(*thread) <= length / kPage + 2);
}

TEST_CASE("hints: a pinned system message survives the pressure of others until its run ends") {
  const SteadyClock clock;
  const auto thread = open_small_thread(clock, bytes_of_pages(clock, 34));
  REQUIRE(thread->stats().pages_total == 34);
  const auto press = [&] {
    Run other(*thread);
    for (char c = 'a'; c < 'f'; ++c) {
      agents::ModelRequest request = asking("", "");
      request.messages[0].content = std::string(280, c);
      other.generate(std::move(request));
    }
  };
  const auto cached = [&] {
    Run asks(*thread);
    agents::ModelRequest request = asking("who are you", "t/A");
    const agents::ModelReply reply = asks.generate(std::move(request));
    asks.model.release("t/A", {});
    return reply.usage.cached_tokens;
  };
  for (const bool pin : {false, true}) {
    CAPTURE(pin);
    auto run = std::make_unique<Run>(*thread);
    agents::ModelRequest request = asking("first");
    request.hints.pin_system = pin;
    run->generate(std::move(request));
    press();
    CHECK((cached() >= 80) == pin);
    press();
    CHECK((cached() >= 80) == pin);
    run.reset();
    press();
    CHECK(cached() < kPage);
  }
}

TEST_CASE("hints: answers are the same with all hints and with none") {
  const SteadyClock clock;
  const uint64_t tight = bytes_of_pages(clock, 34);
  const auto answers = [&](bool hints) {
    const auto thread = open_small_thread(clock, tight);
    Run run(*thread);
    std::vector<std::string> out;
    std::string memory;
    for (int round = 0; round < 4; ++round)
      for (const std::string agent : {"A", "B"}) {
        const std::string stem = "Role: " + agent + ".\nMemory:\n" + memory + "Goal: ";
        agents::ModelRequest request = asking(stem + std::to_string(round), "");
        if (hints) {
          request.hints.context = "t/" + agent;
          request.hints.pin_system = true;
          request.hints.keep_for = std::chrono::seconds(10);
        }
        const agents::ModelReply reply = run.generate(std::move(request));
        out.push_back(reply.content);
        if (hints) run.model.release("t/" + agent, asking(stem).messages);
        if (agent == "B") memory += "[" + std::to_string(round) + "] me: went on.\n";
      }
    return out;
  };
  CHECK(answers(true) == answers(false));
}
