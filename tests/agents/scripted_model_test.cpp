#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "agents/scripted_model.h"
#include "engine/base/async/nursery.h"
#include "engine/base/async/run.h"

namespace swarm::agents {
namespace {

ModelRequest request_of(std::string label, std::string text) {
  ModelRequest request;
  request.label = std::move(label);
  Message message;
  message.content = std::move(text);
  request.messages = {message};
  return request;
}

std::string ask(ScriptedModel& model, std::string label, std::string text) {
  return run_root(model.generate(request_of(std::move(label), std::move(text)))).content;
}

TEST_CASE("scripted model: the oldest step that fits label and pattern answers") {
  ScriptedModel model;
  ScriptedModel::Step step;
  step.pattern = "total (\\d+)";
  step.reply.content = "matched";
  model.then(step).say("for B", "B").say("first").say("second");
  CHECK(ask(model, "A", "hello") == "first");
  CHECK(ask(model, "B", "hello") == "for B");
  CHECK(ask(model, "A", "the total 17") == "matched");
  CHECK(ask(model, "A", "the total 17") == "second");
  CHECK(model.requests().size() == 4);
}

TEST_CASE("scripted model: unexpected requests and unused steps are problems") {
  ScriptedModel model;
  model.say("never");
  CHECK(model.problems() == std::vector<std::string>{"a step was not used: never"});
  CHECK_THROWS_AS(ask(model, "A", "hello"), ErrorException);
  CHECK(model.problems() ==
        std::vector<std::string>{"the script has no step for A: hello"});
  CHECK(model.problems().empty());
}

TEST_CASE("scripted model: streams chunks, fails on demand") {
  ScriptedModel model;
  ScriptedModel::Step step;
  step.chunks = {"one ", "two"};
  model.then(step).fail(environment_error("no model"));
  std::string streamed;
  ModelRequest request = request_of("A", "x");
  request.on_progress = [&](const Progress& progress) {
    streamed += std::string(progress.text) + "|";
  };
  CHECK(run_root(model.generate(request)).content == "one two");
  CHECK(streamed == "one |two|");
  CHECK_THROWS_WITH_AS(ask(model, "A", "x"), "error: no model", ErrorException);
}

TEST_CASE("scripted model: delays run on the clock and end at the deadline") {
  ManualClock clock;
  ScriptedModel model(clock);
  ScriptedModel::Step step;
  step.reply.content = "slow";
  step.delay = std::chrono::seconds(10);
  model.then(step).then(step);
  std::vector<std::string> got;
  run_root([](ScriptedModel& m, ManualClock& time, std::vector<std::string>& out) -> Async<> {
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      nursery.start([&]() -> Async<> {
        ModelRequest request = request_of("A", "x");
        const ModelReply reply = co_await m.generate(std::move(request));
        out.push_back(reply.content);
      });
      nursery.start([&]() -> Async<> {
        ModelRequest request = request_of("B", "x");
        request.deadline = Deadline::after(time, std::chrono::seconds(2));
        const ModelReply reply = co_await m.generate(std::move(request));
        out.emplace_back(to_string(reply.finish));
      });
      while (m.running() < 2) co_await yield_once();
      time.advance(std::chrono::seconds(3));
      while (out.empty()) co_await yield_once();
      CHECK(m.running() == 1);
      time.advance(std::chrono::seconds(8));
    });
  }(model, clock, got));
  CHECK(got == std::vector<std::string>{"deadline", "slow"});
  CHECK(model.running_max() == 2);
}

}  // namespace
}  // namespace swarm::agents
