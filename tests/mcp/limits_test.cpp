// How long a call may take: deadline, idle deadline that progress resets, hard cap; each for a
// server and for single tools. Against a process that hangs (`hang`) or reports progress (`steps`).
#include <doctest/doctest.h>

#include "mcp/client/call_limits.h"
#include "tests/mcp/fixture_rig.h"
#include "tests/mcp/loopback_world.h"

namespace swarm::mcp {
namespace {

using namespace fixture;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr const char* kTooLong = "mcp server \"fix\": no answer to tools/call in time";

// The text of one call; its limits are far from each other, so that a slow machine does not matter.
std::string outcome(Rig& rig, const std::string& tool, Json arguments = Json::object()) {
  std::string text;
  const TimePoint begun = steady_clock().now();
  CHECK(rig.run([&](Session& session) -> Async<> {
    const auto result = co_await fixture::call(session, "fix__" + tool, arguments);
    text = result.text;
    const auto next = co_await fixture::call(session, "fix__echo", Json::object());
    CHECK(next.text == "{}");  // the server is still there
  }).empty());
  CHECK(steady_clock().now() - begun < seconds(45));
  return text;
}

Json steps(int count, int ms) { return Json{{"count", count}, {"ms", ms}}; }

}  // namespace

TEST_CASE("call limits: the first entry that fits speaks for a tool, the server for the rest") {
  ServerConfig server;
  server.call_timeout = seconds(60);
  server.idle_timeout = seconds(5);
  server.tool_limits = {
      {.tool = "build_all", .call_timeout = seconds(9), .idle_timeout = {}, .call_timeout_max = {}},
      {.tool = "build_*", .call_timeout = {}, .idle_timeout = seconds(0),
       .call_timeout_max = seconds(600)},
      {.tool = "*", .call_timeout = {}, .idle_timeout = {}, .call_timeout_max = seconds(70)}};
  struct Case {
    const char* tool;
    milliseconds total, idle;
  };
  for (const Case& one : {Case{"build_all", seconds(9), seconds(5)},
                          Case{"build_one", seconds(600), seconds(60)},
                          Case{"other", seconds(70), seconds(5)}}) {
    CAPTURE(std::string(one.tool));
    CHECK(limits_of(server, one.tool).total == one.total);
    CHECK(limits_of(server, one.tool).idle == one.idle);
  }
  server.tool_limits.clear();
  CHECK(limits_of(server, "x").total == seconds(60));
  CHECK(limits_of(server, "x").idle == seconds(5));
  server.idle_timeout = {};
  CHECK(limits_of(server, "x").idle == milliseconds(0));
  server.call_timeout_max = seconds(30);  // the cap is hard
  CHECK(limits_of(server, "x").total == seconds(30));
  CHECK(fits("a*", "a"));
  CHECK(fits("a", "a"));
  CHECK_FALSE(fits("a", "ab"));
  CHECK_FALSE(fits("a*", "ba"));
}

TEST_CASE("call limits: a tool may have a shorter deadline than its server") {
  Rig rig("normal");
  rig.config.tool_limits = {
      {.tool = "hang", .call_timeout = milliseconds(300), .idle_timeout = {},
       .call_timeout_max = {}}};
  CHECK(outcome(rig, "hang") == kTooLong);
  CHECK(rig.wire().find(R"("requestId":4,"reason":"timeout")") != std::string::npos);
}

TEST_CASE("call limits: silence ends a call, progress does not let it come to that") {
  for (const bool per_tool : {false, true}) {
    CAPTURE(per_tool);
    Rig rig("normal");
    if (per_tool)
      rig.config.tool_limits = {
          {.tool = "*", .call_timeout = {}, .idle_timeout = milliseconds(700),
           .call_timeout_max = {}}};
    else
      rig.config.idle_timeout = milliseconds(700);
    CHECK(outcome(rig, "hang") == "mcp server \"fix\": no progress of tools/call for 700 ms");
    CHECK(outcome(rig, "steps", steps(10, 100)) == "stepped");  // 1 s in all
    CHECK(rig.wire().find(R"("reason":"timeout")") != std::string::npos);
  }
}

TEST_CASE("call limits: progress starts the deadline anew only under a longer cap") {
  Rig rig("normal");
  rig.config.call_timeout = milliseconds(700);
  CHECK(outcome(rig, "steps", steps(20, 100)) == kTooLong);
  rig.config.call_timeout_max = seconds(60);
  CHECK(outcome(rig, "steps", steps(10, 100)) == "stepped");
  CHECK(outcome(rig, "hang") == "mcp server \"fix\": no progress of tools/call for 700 ms");
}

TEST_CASE("call limits: no progress moves the hard cap, of a server or of a tool") {
  for (const bool per_tool : {false, true}) {
    CAPTURE(per_tool);
    Rig rig("normal");
    rig.config.call_timeout = milliseconds(400);
    if (per_tool)
      rig.config.tool_limits = {
          {.tool = "st*", .call_timeout = {}, .idle_timeout = {},
           .call_timeout_max = milliseconds(800)}};
    else
      rig.config.call_timeout_max = milliseconds(800);
    CHECK(outcome(rig, "steps", steps(300, 50)) == kTooLong);
    CHECK(rig.wire().find(R"("reason":"timeout")") != std::string::npos);
  }
}

TEST_CASE("call limits: a caller's own deadline holds, too") {
  Rig rig("normal");
  CHECK(rig.run([](Session& session) -> Async<> {
    tools::ToolContext context;
    context.deadline = Deadline::after(steady_clock(), milliseconds(300));
    const auto result = co_await tool(session, "fix__hang").call(Json::object(), context);
    CHECK(result.text == kTooLong);
  }).empty());
}

TEST_CASE("call limits: a task that says nothing new is given up and cancelled") {
  test_world::World world;
  world.served.tools.clear();
  int running = 0;
  world.add("long", [&running](Json, ServedCall&) -> Async<Json> {
    struct Count {
      int& running;
      ~Count() { --running; }
    } count{++running};
    co_await test_world::pause(seconds(60));
    co_return test_world::text_result("late");
  });
  world.served.tools.back().task = TaskUse::offered;
  world.config.idle_timeout = milliseconds(400);
  std::string error;
  CHECK(world.run([&](Client& client, Server&) -> Async<> {
    try {
      co_await test_world::call(client, "long");
    } catch (const ErrorException& e) {
      error = e.error().message;
    }
    const Deadline deadline = Deadline::after(steady_clock(), seconds(10));
    while (running > 0 && !deadline.passed(steady_clock().now())) co_await yield_once();
  }) == "");
  CHECK(error == "mcp server \"loop\": no progress of the task for 400 ms");
  CHECK(running == 0);
}

}  // namespace swarm::mcp
