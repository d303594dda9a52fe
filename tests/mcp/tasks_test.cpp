// Calls that go on as tasks, and skills that are not what they were announced to be.
#include <doctest/doctest.h>

#include "mcp/message/rpc_error.h"
#include "tests/mcp/loopback_world.h"

namespace swarm::mcp {
namespace {

using namespace test_world;

void add_task(World& world, const std::string& name,
              std::function<Async<Json>(Json, ServedCall&)> work,
              TaskUse use = TaskUse::offered) {
  world.add(name, std::move(work));
  world.served.tools.back().task = use;
}

// Tools whose calls become tasks; `ended` counts the handlers that were left, however.
void add_tasks(World& world, int& ended) {
  add_task(world, "long", [&ended](Json arguments, ServedCall& call) -> Async<Json> {
    struct Count {
      int& ended;
      ~Count() { ++ended; }
    } count{ended};
    call.progress(1, 2, "working on it");
    co_await pause(milliseconds(arguments.value("ms", 10)));
    co_return text_result("worked");
  });
  add_task(world, "asks", [](Json, ServedCall& call) -> Async<Json> {
    std::map<std::string, Question> questions;
    Json params = Json::object();
    params["message"] = "Who?";
    questions["who"] = Question("elicitation/create", params);
    const auto answers = co_await call.ask(std::move(questions));
    co_return text_result(dump_json(answers.at("who").value("content", Json())));
  });
  add_task(world, "fails", [](Json, ServedCall&) -> Async<Json> {
    throw ErrorException(failed("no such item"));
    co_return Json();
  });
  add_task(world, "breaks", [](Json, ServedCall&) -> Async<Json> {
    refuse(-32011, "broken inside");
    co_return Json();
  });
  add_task(world, "needs_tasks", [](Json, ServedCall&) -> Async<Json> {
    co_return text_result("a task");
  }, TaskUse::required);
}

Async<std::string> failure(Client& client, std::string name, CallOptions options) {
  std::string out;
  try {
    co_await client.call_tool(std::move(name), Json::object(), std::move(options));
  } catch (const ErrorException& e) {
    out = e.error().message;
  }
  co_return out;
}

}  // namespace

TEST_CASE("tasks: a call that became a task has its result, its failures and its progress") {
  World world;
  int ended = 0, answers = 0;
  add_tasks(world, ended);
  world.hooks.elicit = [&answers](std::string, Json) -> Async<Json> {
    ++answers;
    Json out = Json::object();
    out["action"] = "accept";
    out["content"]["name"] = "Eve";
    co_return out;
  };
  std::vector<std::string> wire;
  world.hooks.trace = [&wire](bool outgoing, const std::string& text) {
    if (outgoing) wire.push_back(text);
  };
  CHECK(world.run([&](Client& client, Server&) -> Async<> {
    std::string said;
    CallOptions options;
    options.on_progress = [&said](const Progress& progress) { said = progress.message; };
    const Json slow{{"ms", 700}};
    const Json worked = co_await client.call_tool("long", slow, options);
    CHECK(text_of(worked) == "worked");
    CHECK(said == "working on it");
    const std::string asked = co_await call(client, "asks");
    CHECK(asked == R"({"name":"Eve"})");
    CHECK(answers == 1);
    const CallOptions plain;
    const Json failed_call = co_await client.call_tool("fails", Json::object(), plain);
    CHECK(failed_call.at("isError") == true);
    CHECK(text_of(failed_call) == "no such item");
    const std::string broken = co_await failure(client, "breaks", plain);
    CHECK(broken == "mcp server \"loop\": broken inside (code -32011)");
    const std::string required = co_await call(client, "needs_tasks");
    CHECK(required == "a task");
  }) == "");
  int polls = 0;
  for (const std::string& text : wire) polls += text.find("\"tasks/get\"") != std::string::npos;
  CHECK(polls >= 5);
}

TEST_CASE("tasks: a call that is given up cancels its task, and the work ends") {
  World world;
  int ended = 0;
  add_tasks(world, ended);
  CHECK(world.run([&](Client& client, Server&) -> Async<> {
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      nursery.start([&]() -> Async<> {
        const Json slow{{"ms", 60000}};
        const CallOptions options;
        co_await client.call_tool("long", slow, options);
        FAIL("not cancelled");
      });
      co_await pause(milliseconds(100));
      CHECK(ended == 0);
      nursery.cancel();
    });
    const Deadline deadline = Deadline::after(steady_clock(), std::chrono::seconds(10));
    while (ended == 0 && !deadline.passed(steady_clock().now())) co_await yield_once();
    CHECK(ended == 1);
    CallOptions hasty;
    hasty.deadline = Deadline::after(steady_clock(), milliseconds(100));
    const Json slow{{"ms", 60000}};
    std::string late;
    try {
      co_await client.call_tool("long", slow, hasty);
    } catch (const ErrorException& e) {
      late = e.error().message;
    }
    CHECK(late == "mcp server \"loop\": the task did not end in time");
    const Deadline second = Deadline::after(steady_clock(), std::chrono::seconds(10));
    while (ended == 1 && !second.passed(steady_clock().now())) co_await yield_once();
    CHECK(ended == 2);
  }) == "");
}

TEST_CASE("tasks: clients that do not know them get the result itself, or a refusal") {
  World world;
  int ended = 0;
  add_tasks(world, ended);
  world.config.tasks = false;
  CHECK(world.run([&](Client& client, Server&) -> Async<> {
    const std::string worked = co_await call(client, "long");
    CHECK(worked == "worked");
    const CallOptions plain;
    const std::string refused = co_await failure(client, "needs_tasks", plain);
    CHECK(refused == "mcp server \"loop\": the client does not know tasks (code -32021)");
    std::string methods;
    const Json params{{"taskId", "none"}};
    try {
      co_await client.request("tasks/get", params);
    } catch (const ErrorException& e) {
      methods = e.error().message;
    }
    CHECK(methods.find("-32021") != std::string::npos);
  }) == "");
}

TEST_CASE("tasks: an unknown id is an invalid parameter, cancelling twice is not an error") {
  World world;
  int ended = 0;
  add_tasks(world, ended);
  CHECK(world.run([&](Client& client, Server&) -> Async<> {
    const Json nobody{{"taskId", "none"}};
    for (const char* method : {"tasks/get", "tasks/update", "tasks/cancel"}) {
      std::string refused;
      try {
        co_await client.request(method, nobody);
      } catch (const ErrorException& e) {
        refused = e.error().message;
      }
      CHECK(refused == "mcp server \"loop\": unknown task (code -32602)");
    }
  }) == "");
}

}  // namespace swarm::mcp
