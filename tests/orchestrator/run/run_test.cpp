// Whole runs: graphs, limits, servers, tools, cancellation; the journal ends on every path.
#include <doctest/doctest.h>

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <stop_token>
#include <string>

#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "tests/orchestrator/run/world.h"
#include "tools/scripted_tool.h"

using namespace swarm;
using namespace swarm::test;

namespace {

const std::string kPipeline = R"(
inputs: {task: {required: true}}
agents:
  A: {instructions: "first"}
  B: {}
graph:
  one: {agent: A, in: "do ${inputs.task}"}
  two: {agent: B, in: "then ${one.output}", after: [one]}
  three: {tool: calculator, args: {expression: "${two.output}"}, after: [two]}
outputs: {sum: "${three.output}", first: "${one.output}"}
)";

// A server with one tool that answers as it is told.
class FakeSession final : public mcp::Session {
 public:
  struct Plan {
    bool dies_at_start = false;
    std::vector<tools::ScriptedTool::Step> steps = {};
    int* stopped = nullptr;
  };
  explicit FakeSession(Plan plan) : plan_(std::move(plan)) {
    tool_ = tools::ScriptedTool::make("shop__price");
    for (tools::ScriptedTool::Step& step : plan_.steps) tool_->then(std::move(step));
  }
  ~FakeSession() override { tool_->problems(); }
  Async<void> start() override {
    if (plan_.dies_at_start)
      throw ErrorException(environment_error("server \"shop\" ended before it answered"));
    co_return;
  }
  const mcp::ServerInfo& info() const override { return info_; }
  std::vector<std::shared_ptr<tools::Tool>> tools() const override { return {tool_}; }
  Async<void> stop() override {
    if (plan_.stopped != nullptr) ++*plan_.stopped;
    co_return;
  }

 private:
  Plan plan_;
  mcp::ServerInfo info_{.name = "shop", .version = "1", .protocol_version = "x",
                        .instructions = ""};
  std::shared_ptr<tools::ScriptedTool> tool_;
};

const std::string kShop = R"(
inputs: {task: {required: true}}
agents: {A: {tools: [shop/price]}}
mcp: {shop: {command: [shop]}}
)";

void use_session(World& world, const FakeSession::Plan& plan) {
  world.settings.make_session = [plan](mcp::ServerConfig, Executor, Log&, mcp::ClientHooks) {
    return std::make_unique<FakeSession>(plan);
  };
}

Async<> for_ever() { co_await wait_until(steady_clock(), TimePoint::max()); }

}  // namespace

TEST_CASE("run: a pipeline passes outputs on, and the declared outputs are the result") {
  World world(kPipeline);
  world.model.say("hello", "A").say("2*21", "B");
  const run::RunResult result = world.run();
  CAPTURE(world.story());
  CHECK(result.ok);
  CHECK(result.outcome == "succeeded");
  CHECK(result.answer == "42");
  CHECK(result.outputs == Json::parse(R"({"sum":"42","first":"hello"})"));
  CHECK(world.prompt("A", 0) == "do T");
  CHECK(world.prompt("B", 0) == "then hello");
  CHECK(world.model.requests()[0].messages[0].content == "first");
  CHECK(world.events("task.end").size() == 3);
  CHECK(std::filesystem::exists(std::filesystem::path(result.directory) / "swarm.yaml"));
}

TEST_CASE("run: a failed task skips what needed it and fails the run") {
  World world(kPipeline);
  world.model.fail(failed("no"), "A");
  const run::RunResult result = world.run();
  CHECK(!result.ok);
  CHECK(result.outcome == "failed");
  CHECK(result.error == "one: failed: no");
  CHECK(world.events("task.skip").size() == 2);
  CHECK(result.kind == ErrorKind::failed);
}

TEST_CASE("run: ready tasks run together") {
  World world(R"(
agents: {A: {}, B: {}, C: {}}
graph: {a: {agent: A, in: x}, b: {agent: B, in: x}, c: {agent: C, in: "${a.output}${b.output}",
        after: [a, b]}}
)");
  const auto busy = []() -> Async<> {
    for (int i = 0; i < 5; ++i) co_await yield_once();
  };
  agents::ModelReply one, two;
  one.content = "1";
  two.content = "2";
  world.model.then({.label = "A", .reply = one, .before = busy});
  world.model.then({.label = "B", .reply = two, .before = busy});
  world.model.say("3", "C");
  CHECK(world.run().answer == "3");
  CHECK(world.prompt("C", 0) == "12");
  const auto events = world.events();
  int starts = 0;
  for (const run::Event& event : events) {
    starts += event.type == "task.start";
    if (event.type == "task.end") break;
  }
  CHECK(starts == 2);
}

TEST_CASE("run: an agent's output schema gives a typed output") {
  World world(R"(
agents:
  A: {output: {type: object, properties: {n: {type: integer}}, required: [n]}}
  B: {}
graph: {a: {agent: A, in: x}, b: {agent: B, in: "n=${a.output.n}", after: [a]}}
)");
  world.model.say(R"({"n": 5})", "A").say("ok", "B");
  CHECK(world.run().ok);
  CHECK(world.prompt("B", 0) == "n=5");
  World bad(R"(
agents: {A: {output: {type: object, properties: {n: {type: integer}}, required: [n]}}}
graph: {a: {agent: A, in: x}}
)");
  bad.model.say("no json", "A");
  CHECK(bad.run().error == "the answer does not fit the declared output");
}

TEST_CASE("run: budgets end the run with their own kind") {
  World calls(kPipeline + "limits: {model_calls: 1}\n");
  calls.model.say("hello", "A");
  const run::RunResult one = calls.run();
  CHECK(one.outcome == "budget");
  CHECK(one.kind == ErrorKind::budget);
  CHECK(one.error == "limits.model_calls reached: 1");
  CHECK(calls.events().back().data["outcome"] == "budget");

  World tokens(kPipeline + "limits: {tokens: 10}\n");
  agents::ModelReply reply;
  reply.content = "hello";
  reply.usage.prompt_tokens = 9;
  reply.usage.output_tokens = 1;
  tokens.model.then({.label = "A", .reply = reply});
  CHECK(tokens.run().kind == ErrorKind::budget);
}

TEST_CASE("run: a token budget ends the run in the middle of a decode; what was used counts") {
  // Says ten tokens at a time, for ever.
  struct Chatty final : agents::Model {
    int reports = 0;
    Async<agents::ModelReply> generate(agents::ModelRequest request) override {
      request.on_progress({.prompt_tokens = 50});
      for (; reports < 1000; ++reports) {
        request.on_progress({.phase = agents::Phase::decode, .output_tokens = 10});
        co_await yield_once();
      }
      co_return agents::ModelReply{};
    }
    std::string_view name() const override { return "chatty"; }
  } chatty;
  struct Only final : run::ModelSet {
    explicit Only(agents::Model& m) : model(m) {}
    std::map<std::string, agents::Model*> by_name() const override { return {{"fake", &model}}; }
    agents::Model& model;
  };
  World world(kPipeline + "limits: {tokens: 100}\n");
  world.settings.open_models = [&](const config::Config&, Executor, const Clock&, Log&,
                                   const std::stop_token&)
      -> Result<std::unique_ptr<run::ModelSet>> { return std::make_unique<Only>(chatty); };
  const run::RunResult result = world.run();
  CHECK(result.kind == ErrorKind::budget);
  CHECK(result.error == "limits.tokens reached: 100");
  CHECK(chatty.reports == 5);  // the sixth was one too many
  CHECK(result.totals.prompt_tokens == 50);
  CHECK(result.totals.output_tokens == 60);
}

TEST_CASE("run: the wall limit stops the loading of models") {
  World world(kPipeline + "limits: {wall: 30ms}\n");
  bool asked = false;
  world.settings.open_models = [&](const config::Config&, Executor, const Clock&, Log&,
                                   const std::stop_token& stop)
      -> Result<std::unique_ptr<run::ModelSet>> {
    std::mutex mutex;
    std::condition_variable_any changed;
    std::unique_lock lock(mutex);
    changed.wait_for(lock, stop, std::chrono::seconds(20), [] { return false; });
    asked = stop.stop_requested();
    return Error{ErrorKind::cancelled, "loading was stopped"};
  };
  const run::RunResult result = world.run();
  CHECK(asked);
  CHECK(result.outcome == "timeout");
  CHECK(result.error.starts_with("limits.wall: "));
  CHECK(world.events().back().data["outcome"] == "timeout");
}

TEST_CASE("run: the wall limit ends a hanging run, and the journal has its end") {
  World world(kPipeline + "limits: {wall: 300ms}\n");  // time to begin, also under load
  world.model.then({.label = "A", .before = for_ever});
  const run::RunResult result = world.run();
  CHECK(result.outcome == "timeout");
  CHECK(result.kind == ErrorKind::budget);  // exit code 4
  CHECK(world.events().back().data["outcome"] == "timeout");
}

TEST_CASE("run: a task that hangs is cut at its own timeout") {
  World world(R"(
agents: {A: {}, B: {}}
graph: {a: {agent: A, in: x, timeout: 30ms}, b: {agent: B, in: x, after: [a], join: always}}
)");
  world.model.then({.label = "A", .before = for_ever});
  world.model.say("after all", "B");
  const run::RunResult result = world.run();
  CHECK(!result.ok);
  CHECK(result.outcome == "timeout");
  CHECK(world.events("task.end").size() == 2);
}

TEST_CASE("run: cancelling ends everything, stops the servers and completes the journal") {
  World world(kShop);
  int stopped = 0;
  use_session(world, {.stopped = &stopped});
  run::RunResult result;
  std::function<void()> cancel;
  world.model.then({.label = "A", .before = [&cancel]() -> Async<> {
                      cancel();
                      co_await for_ever();
                    }});
  result = world.run_with([&](std::function<void()> c) { cancel = std::move(c); });
  CHECK(!result.ok);
  CHECK(result.outcome == "cancelled");
  CHECK(result.kind == ErrorKind::cancelled);
  CHECK(stopped == 1);
  CHECK(world.events().back().data["outcome"] == "cancelled");
}

TEST_CASE("run: a required server that does not start is an environment error") {
  World world(R"(
inputs: {task: {required: true}}
agents: {A: {tools: [shop/price]}}
mcp: {shop: {command: [shop], required: true}}
)");
  int stopped = 0;
  use_session(world, {.dies_at_start = true, .stopped = &stopped});
  const run::RunResult result = world.run();
  CHECK(result.kind == ErrorKind::environment);
  CHECK(result.error == "server \"shop\" ended before it answered");
  CHECK(stopped == 1);
  CHECK(world.events("mcp.start").size() == 1);   // written before it was tried
  CHECK(world.events("mcp.ready").empty());
  CHECK(world.events().back().data["ok"] == false);
}

TEST_CASE("run: a server that dies mid-call is an error the model reads") {
  World world(kShop);
  use_session(world, {.steps = {{.result = {.text = "server \"shop\" ended", .is_error = true}}}});
  world.model.call({{"", "shop__price", Json{{"item", "x"}}}}, "A");
  world.model.say("the shop is closed", "A");
  const run::RunResult result = world.run();
  CHECK(result.ok);
  CHECK(result.answer == "the shop is closed");
  const auto results = world.events("tool.result");
  REQUIRE(results.size() == 1);
  CHECK(results[0].data["is_error"] == true);
  CHECK(results[0].data["tool"] == "shop__price");
  CHECK(result.totals.tool_calls == 1);
}

TEST_CASE("run: a tool that hangs ends at the agent's deadline, the run goes on") {
  World world(R"(
inputs: {task: {required: true}}
agents:
  A: {tools: [slow*], timeout: 50ms}
  B: {}
topologies: {t: {members: [A, B], manager: {}, answer: [B]}}
)");
  const auto slow = tools::ScriptedTool::make("slow");
  slow->then_after(for_ever);
  world.settings.tools = {slow};
  world.model.call({{"", "slow", Json::object()}}, "A");
  world.model.say(solver("x", "fine"), "B").say(manager("ok", true, "", "B"), "Manager");
  const run::RunResult result = world.run();
  CAPTURE(world.story());
  CHECK(result.ok);
  CHECK(result.answer == "fine");
  CHECK(result.degraded);
  CHECK(slow->running() == 0);
  slow->problems();
  world.model.problems();
}

TEST_CASE("run: a tool pattern that matches nothing is found before any model call") {
  World world(R"(
agents: {A: {tools: [calculator, nothing*]}}
graph: {a: {agent: A, in: x}}
)");
  const run::RunResult result = world.run();
  CHECK(result.kind == ErrorKind::invalid_input);
  CHECK(result.error.find("agents.A.tools") != std::string::npos);
  CHECK(result.totals.model_calls == 0);
}

TEST_CASE("run: a tool task that names no tool, or several, is found before any model call") {
  for (const char* tool : {"nothing*", "*"}) {
    CAPTURE(tool);
    World world(std::string("agents: {A: {}}\ngraph:\n  a: {agent: A, in: x}\n  b: {tool: \"") +
                tool + "\", after: [a]}\n");
    const run::RunResult result = world.run();
    CHECK(result.kind == ErrorKind::invalid_input);
    CHECK(result.error.find("graph.b.tool") != std::string::npos);
    CHECK(result.totals.model_calls == 0);
  }
}

TEST_CASE("run: an id is used once and must be a plain name") {
  World world(kPipeline);
  world.model.say("hello", "A").say("1", "B");
  world.settings.id = "first";
  CHECK(world.run().id == "first");
  CHECK_THROWS_AS(world.run(), ErrorException);
  for (const char* bad : {"../x", "a/b", ".", "x y"}) {
    world.settings.id = bad;
    CHECK_THROWS_AS(world.run(), ErrorException);
  }
}
