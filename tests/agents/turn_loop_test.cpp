#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "agents/agent.h"
#include "agents/scripted_model.h"
#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "engine/base/async/run.h"
#include "engine/base/rng.h"
#include "tools/scripted_tool.h"

namespace swarm::agents {
namespace {

using tools::ScriptedTool;

// A pass with a scripted model and tools "a" and "b".
struct Bench {
  ScriptedModel model;
  std::shared_ptr<ScriptedTool> a = ScriptedTool::make("a");
  std::shared_ptr<ScriptedTool> b = ScriptedTool::make("b");
  tools::Registry registry;
  AgentConfig config;
  PassInput input;
  std::vector<PassEvent> events;

  Bench() {
    registry.add(a).value();
    registry.add(b).value();
    config.name = "Solver";
    config.tools = {"a", "b"};
    Message question;
    question.content = "go";
    input.messages = {question};
  }
  PassResult run() {
    return run_root(run_pass(model, registry, config, input,
                             [this](const PassEvent& event) { events.push_back(event); }));
  }
  // Kinds of the observed events, one letter each.
  std::string story() const {
    std::string out;
    for (const PassEvent& event : events) out += "mrTRc"[static_cast<size_t>(event.kind)];
    return out;
  }
  const std::vector<Message>& last_messages() const { return model.requests().back().messages; }
};

ToolCall tool_call(std::string id, std::string name, Json arguments = Json::object()) {
  return ToolCall{.id = std::move(id), .name = std::move(name), .arguments = std::move(arguments)};
}

Async<> turns(int count) {
  for (int i = 0; i < count; ++i) co_await yield_once();
}

TEST_CASE("pass: an answer without calls ends it") {
  Bench bench;
  bench.model.say("done");
  const PassResult result = bench.run();
  CHECK(result.content == "done");
  CHECK(result.turns == 1);
  CHECK(result.tool_calls == 0);
  CHECK_FALSE(result.output.has_value());
  CHECK(bench.story() == "mr");
  const ModelRequest& request = bench.model.requests()[0];
  CHECK(request.label == "Solver");
  CHECK(request.tools.size() == 2);
  CHECK(request.tool_choice == ToolChoice::automatic);
}

TEST_CASE("pass: calls of one turn run together, results follow in call order") {
  Bench bench;
  // The first call ends last.
  bench.a->then_after([] { return turns(20); }, "slow a");
  bench.b->then_after([] { return turns(1); }, "quick b");
  bench.a->then("second a");
  bench.model.call({tool_call("x1", "a", {{"n", 1}}), tool_call("x2", "b"), tool_call("", "a")});
  bench.model.say("done");
  const PassResult result = bench.run();
  CHECK(result.content == "done");
  CHECK(result.turns == 2);
  CHECK(result.tool_calls == 3);
  CHECK(bench.a->running_max() == 2);
  const auto& messages = bench.last_messages();
  REQUIRE(messages.size() == 5);
  CHECK(messages[1].role == Role::assistant);
  CHECK(messages[1].tool_calls.size() == 3);
  CHECK(messages[2].content == "slow a");
  CHECK(messages[2].tool_call_id == "x1");
  CHECK(messages[3].content == "quick b");
  CHECK(messages[4].content == "second a");
  CHECK(messages[4].tool_call_id == messages[1].tool_calls[2].id);
  CHECK_FALSE(messages[4].tool_call_id.empty());
  CHECK(bench.a->calls()[0].arguments == Json{{"n", 1}});
  CHECK(bench.a->calls()[0].context.agent == "Solver");
  CHECK(bench.story() == "mrTTTRRRmr");
}

TEST_CASE("pass: at most eight calls are in flight") {
  Bench bench;
  std::vector<ToolCall> calls;
  for (int i = 0; i < 12; ++i) {
    bench.a->then_after([] { return turns(3); }, std::to_string(i));
    calls.push_back(tool_call("", "a"));
  }
  bench.model.call(calls).say("done");
  CHECK(bench.run().tool_calls == 12);
  CHECK(bench.a->running_max() == 8);
  for (size_t i = 0; i < 12; ++i)
    CHECK(bench.last_messages()[2 + i].content == std::to_string(i));
}

TEST_CASE("pass: call ids are unique even when the model repeats itself") {
  Bench bench;
  bench.a->then("1").then("2").then("3");
  bench.model.call({tool_call("same", "a"), tool_call("same", "a")});
  bench.model.call({tool_call("same", "a")}).say("done");
  bench.run();
  const auto& messages = bench.last_messages();
  CHECK(messages[2].tool_call_id != messages[3].tool_call_id);
  CHECK(messages[5].tool_call_id != messages[2].tool_call_id);
  CHECK(messages[5].tool_call_id != messages[3].tool_call_id);
}

TEST_CASE("pass: unknown tools and tools of others are refused with a hint") {
  Bench bench;
  bench.config.tools = {"a"};
  bench.model.call({tool_call("", "b"), tool_call("", "aa"), tool_call("", "zebra")}).say("done");
  const PassResult result = bench.run();
  CHECK(result.tool_errors == 3);
  CHECK(bench.last_messages()[2].content.find("unknown tool \"b\"") == 0);
  CHECK(bench.last_messages()[4].content == "unknown tool \"zebra\"; your tools: a");
  CHECK(bench.b->calls().empty());
  CHECK(bench.model.requests()[0].tools.size() == 1);
}

TEST_CASE("pass: tools may be chosen by glob, a name that fits nothing is an error") {
  Bench bench;
  bench.config.tools = {"b", "*"};
  bench.model.say("done");
  bench.run();
  const auto& specs = bench.model.requests()[0].tools;
  REQUIRE(specs.size() == 2);
  CHECK(specs[0].name == "b");
  CHECK(specs[1].name == "a");
  bench.config.tools = {"nothing"};
  try {
    bench.run();
    FAIL("no error");
  } catch (const ErrorException& e) {
    CHECK(e.error().kind == ErrorKind::invalid_input);
  }
}

TEST_CASE("pass: a malformed call is shown to the model as it was and answered with the problem") {
  Bench bench;
  ScriptedModel::Step step;
  step.reply.content = "let me see";
  step.reply.malformed_calls = {R"({"name": "a", "arguments": {)"};
  step.reply.finish = FinishReason::tool_calls;
  bench.model.then(step).say("done");
  const PassResult result = bench.run();
  CHECK(result.turns == 2);
  CHECK(result.tool_errors == 1);
  const auto& messages = bench.last_messages();
  REQUIRE(messages.size() == 3);
  CHECK(messages[1].content == "let me see\n{\"name\": \"a\", \"arguments\": {");
  CHECK(messages[2].role == Role::tool);
  CHECK(messages[2].content.find("malformed tool call: ") == 0);
  CHECK(messages[2].content.find("expected {\"name\"") != std::string::npos);
  CHECK(bench.story() == "mrRmr");
}

TEST_CASE("pass: calls beyond the limit of one turn are answered but not run") {
  Bench bench;
  bench.config.max_tool_calls = 2;
  bench.a->then("1").then("2");
  bench.model.call({tool_call("", "a"), tool_call("", "a"), tool_call("", "a")}).say("done");
  const PassResult result = bench.run();
  CHECK(bench.a->calls().size() == 2);
  CHECK(result.tool_errors == 1);
  CHECK(bench.last_messages()[4].content == "not run: at most 2 tool calls in one turn");
}

TEST_CASE("pass: the last turn may not call, so that an answer exists") {
  Bench bench;
  bench.config.max_turns = 3;
  bench.a->then("1").then("2");
  bench.model.call({tool_call("", "a")}).call({tool_call("", "a")}).say("forced");
  const PassResult result = bench.run();
  CHECK(result.content == "forced");
  CHECK(result.turns == 3);
  CHECK(bench.model.requests()[1].tool_choice == ToolChoice::automatic);
  CHECK(bench.model.requests()[2].tool_choice == ToolChoice::none);
  // The tools stay in the request: the prompt prefix must not change.
  CHECK(bench.model.requests()[2].tools.size() == 2);
}

TEST_CASE("pass: a context is kept through its tool calls, and a pass that has begun goes first") {
  Bench bench;
  bench.config.max_turns = 2;
  bench.a->then("1");
  bench.model.call({tool_call("", "a")}).say("done");
  bench.run();
  const std::vector<ModelRequest>& asked = bench.model.requests();
  CHECK(asked[0].hints.keep_for == std::chrono::seconds(10));
  CHECK(asked[1].hints.keep_for == std::chrono::seconds(0));   // it may not call: the pass ends
  CHECK(asked[0].hints.priority == 0);
  CHECK(asked[1].hints.priority == 1);
}

TEST_CASE("pass: a model that calls although it may not is cut off") {
  Bench bench;
  bench.config.max_turns = 1;
  bench.model.call({tool_call("", "a")});
  const PassResult result = bench.run();
  CHECK(result.turns == 1);
  CHECK(result.tool_calls == 0);
}

TEST_CASE("pass: the same failing call is run three times, then the model has to answer") {
  Bench bench;
  bench.config.max_turns = 20;
  for (int i = 0; i < 3; ++i) bench.a->then_throw(failed("broken"));
  bench.b->then("fine");
  for (int i = 0; i < 4; ++i) bench.model.call({tool_call("", "a", {{"n", 1}})});
  bench.model.say("gave up");
  const PassResult result = bench.run();
  CHECK(result.content == "gave up");
  CHECK(result.turns == 5);
  CHECK(bench.a->calls().size() == 3);
  CHECK(result.tool_errors == 4);
  CHECK(bench.model.requests()[3].messages.back().content ==
        "a: broken\nThis call failed 3 times with the same arguments; it will not be run again.");
  CHECK(bench.last_messages().back().content ==
        "not run: this call failed 3 times with the same arguments; answer without it");
  CHECK(bench.model.requests()[3].tool_choice == ToolChoice::automatic);
  CHECK(bench.model.requests()[4].tool_choice == ToolChoice::none);
  CHECK(bench.b->problems().size() == 1);  // acknowledged: the model never came to b
}

TEST_CASE("pass: other arguments are another call") {
  Bench bench;
  bench.config.max_turns = 20;
  for (int i = 0; i < 5; ++i) {
    bench.a->then_throw(failed("broken"));
    bench.model.call({tool_call("", "a", {{"n", i}})});
  }
  bench.model.say("done");
  CHECK(bench.run().turns == 6);
  CHECK(bench.a->calls().size() == 5);
}

TEST_CASE("pass: the answer is parsed against the schema") {
  const auto run = [](const std::string& content) {
    Bench bench;
    bench.input.output_schema = worker_schema({});
    bench.model.say(content);
    const PassResult result = bench.run();
    CHECK(result.content == content);
    return result.output;
  };
  const std::string good = R"({"public": "p", "private": "", "query": "q", "key": "k"})";
  REQUIRE(run(good).has_value());
  CHECK(run(good)->at("key") == "k");
  CHECK_FALSE(run(R"({"public": "p"})").has_value());
  CHECK_FALSE(run("plain text").has_value());
  CHECK_FALSE(run(R"({"public": "p", "private": "", "query": " ", "key": "k"})").has_value());
}

TEST_CASE("pass: length and deadline are reported, also with calls pending") {
  Bench bench;
  ScriptedModel::Step step;
  step.reply.content = "{\"public\": \"ha";
  step.reply.finish = FinishReason::length;
  bench.model.then(step);
  CHECK(bench.run().truncated);
  step.reply.finish = FinishReason::deadline;
  step.reply.tool_calls = {tool_call("", "a")};
  bench.model.then(step);
  const PassResult late = bench.run();
  CHECK(late.truncated);
  CHECK(late.finish == FinishReason::deadline);
  CHECK(late.tool_calls == 0);
}

TEST_CASE("pass: of a reply that was cut off whole calls run, and the cut one is answered") {
  Bench bench;
  bench.a->then("1");
  ScriptedModel::Step step;
  step.reply.tool_calls = {tool_call("", "a")};
  step.reply.malformed_calls = {"nonsense", R"({"name": "b", "arguments": {"path": "/et)"};
  step.reply.finish = FinishReason::length;
  bench.model.then(step).say("done");
  const PassResult result = bench.run();
  CHECK(result.content == "done");
  CHECK_FALSE(result.truncated);      // the answer was not cut
  CHECK(bench.a->calls().size() == 1);
  CHECK(bench.b->calls().empty());
  CHECK(result.tool_errors == 2);
  const auto& messages = bench.last_messages();
  REQUIRE(messages.size() == 5);
  CHECK(messages[1].content.ends_with(R"({"name": "b", "arguments": {"path": "/et)"));
  CHECK(messages[2].content == "1");
  CHECK(messages[3].content.starts_with("malformed tool call: "));
  CHECK(messages[4].content.starts_with("not run: your reply reached its limit of tokens"));
  CHECK(result.cut_turns == 1);
}

TEST_CASE("pass: a reply that was cut off between calls says so, and ends where none may follow") {
  for (const int turns : {2, 3}) {
    Bench bench;
    bench.config.max_turns = turns;
    ScriptedModel::Step step;
    step.reply.tool_calls = {tool_call("", "a")};
    step.reply.finish = FinishReason::length;
    bench.model.then(step);
    if (turns == 3) {
      bench.a->then("1");
      bench.model.say("done");
    }
    const PassResult result = bench.run();
    CHECK(result.cut_turns == 1);
    CHECK(result.truncated == (turns == 2));
    CHECK(bench.a->calls().size() == (turns == 2 ? 0 : 1));
    if (turns == 3)
      CHECK(bench.last_messages().back().content ==
            "1\nYour reply reached its limit of tokens after this call; calls that should follow "
            "were not made.");
  }
}

TEST_CASE("pass: each turn samples with its own seed, the same in every run") {
  std::vector<uint64_t> first;
  for (int round = 0; round < 2; ++round) {
    Bench bench;
    bench.input.seed = 42;
    bench.a->then("1");
    bench.model.call({tool_call("", "a")}).say("done");
    bench.run();
    std::vector<uint64_t> seeds;
    for (const ModelRequest& request : bench.model.requests())
      seeds.push_back(request.sampling.seed.value());
    CHECK(seeds == std::vector<uint64_t>{mix_seed(42, 1), mix_seed(42, 2)});
    if (round == 0) first = seeds;
    CHECK(seeds == first);
  }
}

TEST_CASE("pass: usage adds up and the journal sees every step") {
  Bench bench;
  bench.a->then("1");
  ScriptedModel::Step step;
  step.reply.tool_calls = {tool_call("", "a", {{"n", 1}})};
  step.reply.usage.prompt_tokens = 5;
  bench.model.then(step);
  step.reply.tool_calls.clear();
  step.reply.content = "done";
  bench.model.then(step);
  CHECK(bench.run().usage.prompt_tokens == 10);
  REQUIRE(bench.events.size() == 6);
  CHECK(bench.events[2].tool == "a");
  CHECK(bench.events[2].data == Json{{"arguments", {{"n", 1}}}});
  CHECK(bench.events[3].call_id == bench.events[2].call_id);
  CHECK(bench.events[3].data.at("text") == "1");
  CHECK(bench.events[4].turn == 2);
  CHECK(bench.events[5].data.at("content") == "done");
}

TEST_CASE("pass: errors of the model go through, cancelling ends tools and model") {
  Bench bench;
  bench.model.fail(environment_error("server gone"));
  CHECK_THROWS_AS(bench.run(), ErrorException);

  bool waiting = false;
  bench.a->then_after([&waiting]() -> Async<> {
    waiting = true;
    co_await wait_until(steady_clock(), TimePoint::max() - std::chrono::hours(1));
  });
  bench.model.call({tool_call("", "a")});
  run_root([](Bench& one, bool& began) -> Async<> {
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      nursery.start([&]() -> Async<> {
        co_await run_pass(one.model, one.registry, one.config, one.input, nullptr);
        FAIL("not cancelled");
      });
      while (!began) co_await yield_once();
      nursery.cancel();
    });
  }(bench, waiting));
  CHECK(bench.a->running() == 0);
  CHECK(bench.model.problems().empty());
}

}  // namespace
}  // namespace swarm::agents
