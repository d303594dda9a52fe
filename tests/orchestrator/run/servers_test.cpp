// MCP servers of a run that are broken, slow or half right: real processes, behaving badly.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "engine/base/async/deadline.h"
#include "orchestrator/run/servers.h"
#include "tests/orchestrator/run/real_servers.h"
#include "tests/support/process.h"
#include "tools/scripted_tool.h"

using namespace swarm;
using namespace swarm::test;
using namespace std::chrono_literals;

namespace {

// "starting, failed": the states of one server in their order.
std::string states(const World& world, const std::string& server) {
  std::string out;
  for (const run::Event& event : world.events("mcp.state"))
    if (event.data["server"] == server)
      out += (out.empty() ? "" : ", ") + event.data["state"].get<std::string>();
  return out;
}

std::string last_reason(const World& world, const std::string& server) {
  std::string out;
  for (const run::Event& event : world.events("mcp.state"))
    if (event.data["server"] == server) out = event.data.value("reason", "");
  return out;
}

std::vector<std::string> tools_of(const agents::ModelRequest& request) {
  std::vector<std::string> out;
  for (const tools::ToolSpec& tool : request.tools) out.push_back(tool.name);
  return out;
}

bool has(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

TEST_CASE("servers: broken ones of every kind do not end a run, and each says what is wrong") {
  World world("agents: {A: {tools: [good/echo, gone/x, \"dies/*\", \"hangs/*\"]}}\n"
              "graph: {a: {agent: A, in: x}}\nmcp:\n"
              "  gone: {command: [/no/such/program]}\n" +
              server("dies", "exit_on_initialize") +
              server("hangs", "silent", ", start_timeout: 400ms") +
              server("good", "normal") + "  off: {command: [/no/such/either], disabled: true}\n");
  use_real_servers(world);
  world.model.call({{"", "good__echo", Json{{"a", 1}}}}, "A").say("done", "A");
  const run::RunResult result = world.run();
  CAPTURE(world.story());
  CHECK(result.ok);
  CHECK(world.events("tool.result").at(0).data["text"] == "{\"a\":1}");
  CHECK(tools_of(world.model.requests()[0]) == std::vector<std::string>{"good__echo"});
  CHECK(world.events("mcp.ready").at(0).data["instructions"] == "be kind");
  CHECK(world.model.requests()[0].messages[0].content.find("be kind") == std::string::npos);
  CHECK(states(world, "gone") == "starting, failed");
  CHECK(last_reason(world, "gone").find("/no/such/program") != std::string::npos);
  CHECK(states(world, "dies") == "starting, failed");
  CHECK(last_reason(world, "dies").find("fatal: no licence found") != std::string::npos);
  CHECK(states(world, "hangs") == "starting, failed");
  CHECK(last_reason(world, "hangs").find("not ready within 400 ms") != std::string::npos);
  // One of its tools has no schema, so it is not all it should be.
  CHECK(states(world, "good") == "starting, degraded");
  CHECK(last_reason(world, "good").find("left out: broken (") != std::string::npos);
  CHECK(states(world, "off") == "disabled");
  REQUIRE(result.servers_missing.size() == 3);
  CHECK(result.servers_missing[0].first == "gone");
  CHECK(to_json(result)["servers_missing"]["dies"] ==
        "mcp server \"dies\": it ended with exit code 3; it said last: fatal: no licence found");
}

TEST_CASE("servers: all are started at once, so the slowest alone decides how long it takes") {
  std::string yaml = "agents: {A: {}}\ngraph: {a: {agent: A, in: x}}\nmcp:\n";
  for (int i = 0; i < 5; ++i)
    yaml += server("hangs" + std::to_string(i), "silent", ", start_timeout: 1s");
  World world(yaml);
  use_real_servers(world);
  world.model.say("done", "A");
  const TimePoint begun = steady_clock().now();
  CHECK(world.run().ok);
  CHECK(steady_clock().now() - begun < 4s);      // one after the other: at least 5 s
}

TEST_CASE("servers: a required one that is broken ends the run before any model call") {
  for (const char* mode : {"exit_on_initialize", "silent", "wrong_version"}) {
    CAPTURE(std::string(mode));
    World world("agents: {A: {tools: [shop/echo]}}\ngraph: {a: {agent: A, in: x}}\nmcp:\n" +
                server("shop", mode, ", required: true, start_timeout: 400ms"));
    use_real_servers(world);
    const run::RunResult result = world.run();
    CHECK_FALSE(result.ok);
    CHECK(result.kind == ErrorKind::environment);
    CHECK(result.error.find("mcp server \"shop\"") != std::string::npos);
    CHECK(world.model.requests().empty());
    CHECK(states(world, "shop") == "starting, failed");
  }
}

TEST_CASE("servers: a task that is a call makes its server required, unless the file says no") {
  const std::string task = "agents: {A: {}}\ngraph: {a: {tool: shop/echo}}\nmcp:\n";
  World world(task + server("shop", "exit_on_initialize"));
  use_real_servers(world);
  const run::RunResult ended = world.run();
  CHECK(ended.kind == ErrorKind::environment);
  CHECK(world.events("task.start").empty());

  World other(task + server("shop", "exit_on_initialize", ", required: false"));
  use_real_servers(other);
  const run::RunResult result = other.run();
  CHECK_FALSE(result.ok);
  CHECK(other.events("task.start").size() == 1);
  CHECK(result.error.find("there is no tool \"shop/echo\" now: server \"shop\" is not there "
                          "(failed)") != std::string::npos);
}

TEST_CASE("servers: tools that come late join at a turn boundary, behind those that were there") {
  const TempDir dir;
  const std::string flag = (dir.path() / "go").string();
  World world(R"(
agents:
  A: {tools: ["late/*", calculator]}
  B: {tools: ["late/*", calculator]}
graph: {a: {agent: A, in: x}, b: {agent: B, in: x, after: [a]}}
mcp:
  late:
    command: [/bin/sh, -c, "i=0; while [ ! -e )" + flag + R"( ] && [ $i -lt 400 ]; do sleep 0.05;
              i=$((i+1)); done; exec )" + kFixture + R"( normal"]
    protocol: legacy
    wait: 0s
)");
  use_real_servers(world);
  bool ready = false;
  world.settings.listener = [&](std::string_view type, const Json&, const std::string&) {
    ready = ready || type == "mcp.ready";
  };
  agents::ModelReply first;
  first.tool_calls = {{"", "calculator", Json{{"expression", "1+1"}}}};
  first.finish = agents::FinishReason::tool_calls;
  world.model.then({.label = "A", .reply = first, .before = [&]() -> Async<> {
                      write_file(flag, "");
                      for (int i = 0; i < 1000 && !ready; ++i)
                        co_await wait_until(steady_clock(), steady_clock().now() + 10ms);
                    }});
  world.model.call({{"", "late__echo", Json::object()}}, "A").say("done", "A").say("ok", "B");
  const run::RunResult result = world.run();
  CAPTURE(world.story());
  CHECK(result.ok);
  CHECK(result.servers_missing.empty());
  const auto& requests = world.model.requests();
  REQUIRE(requests.size() == 4);
  CHECK(tools_of(requests[0]) == std::vector<std::string>{"calculator"});
  const std::vector<std::string> joined = tools_of(requests[1]);
  CHECK(joined.size() > 10);
  CHECK(joined[0] == "calculator");              // what was read before is still the prefix
  CHECK(has(joined, "late__echo"));
  CHECK(tools_of(requests[2]) == joined);
  CHECK(tools_of(requests[3]) == joined);        // the next agent reads them in the same order
  CHECK(world.events("tool.result").at(1).data["text"] == "{}");
  CHECK(world.events("mcp.ready").at(0).data["late"] == true);
}

namespace {

// A server that becomes another version of itself in the middle of a run: `add` is gone then, and
// `echo` is described anew. The model announces it, calls both, and calls `add` once more.
struct Upgrade {
  TempDir dir;
  std::string version = (dir.path() / "version").string();
  World world;
  bool heard = false;

  explicit Upgrade(const std::string& more = "")
      : world("agents: {A: {tools: [good/echo, good/add, good/announce, good/late]}}\n"
              "graph: {a: {agent: A, in: x}}\npolicy: {allow: [\"good/*\"], pins: " +
              (dir.path() / "pins.json").string() + "}\nmcp:\n" +
              server("good", "normal", ", env: {FIXTURE_VERSION: " + version + "}" + more)) {
    write_file(version, "1.2");
    use_real_servers(world);
    world.settings.listener = [this](std::string_view type, const Json& data, const std::string&) {
      heard = heard || (type == "tool.gone" && data["tool"] == "good__add");
    };
    world.model.then({.label = "A", .reply = calls({"good__announce"}),
                      .before = [this]() -> Async<> {
                        write_file(version, "2.0");
                        co_return;
                      }});
    world.model.then({.label = "A", .reply = calls({"good__add", "good__echo"}),
                      .before = [this]() -> Async<> {
                        for (int i = 0; i < 1000 && !heard; ++i)
                          co_await wait_until(steady_clock(), steady_clock().now() + 10ms);
                      }});
    world.model.then({.label = "A", .reply = calls({"good__add"})}).say("done", "A");
  }
  static agents::ModelReply calls(const std::vector<std::string>& names) {
    agents::ModelReply reply;
    for (const std::string& name : names)
      reply.tool_calls.push_back({"", name, Json::object()});
    reply.finish = agents::FinishReason::tool_calls;
    return reply;
  }
};

}  // namespace

TEST_CASE("servers: a tool that its server takes back is an error at once, then not listed") {
  Upgrade upgrade;
  World& world = upgrade.world;
  CHECK(world.run().ok);
  CAPTURE(world.story());
  const auto& requests = world.model.requests();
  REQUIRE(requests.size() == 4);
  const std::vector<std::string> all{"good__echo", "good__add", "good__announce", "good__late"};
  const std::vector<std::string> left{"good__echo", "good__announce", "good__late"};
  CHECK(tools_of(requests[0]) == all);
  CHECK(tools_of(requests[1]) == all);           // it was there when the turn began
  CHECK(tools_of(requests[2]) == left);          // in their order
  CHECK(tools_of(requests[3]) == left);
  const auto results = world.events("tool.result");
  REQUIRE(results.size() == 4);
  const std::string gone =
      "there is no tool \"good__add\" now: server \"good\" offers it no longer";
  std::map<std::string, std::string> said;
  for (const run::Event& event : results)
    said[event.data["tool"].get<std::string>()] = event.data["text"].get<std::string>();
  CHECK(said["good__add"] == gone);
  CHECK(said["good__echo"] == "{}");             // another description, and nobody pinned it
  CHECK(results[3].data["text"] == gone);
  REQUIRE(world.events("tool.gone").size() == 1);
  CHECK(world.events("tool.gone")[0].data["origin"] == "mcp:good");
  REQUIRE(world.events("tool.changed").size() == 1);
  CHECK(world.events("tool.changed")[0].data["tool"] == "good__echo");
}

TEST_CASE("servers: a tool that changes in the middle of a run is not called when it is pinned") {
  Upgrade upgrade(", pin: surface");
  World& world = upgrade.world;
  CHECK(world.run().ok);
  CAPTURE(world.story());
  std::map<std::string, std::string> said;
  for (const run::Event& event : world.events("tool.result"))
    said[event.data["tool"].get<std::string>()] = event.data["text"].get<std::string>();
  CHECK(said["good__echo"] ==
        "there is no tool \"good__echo\" now: server \"good\" has changed it since it was pinned");
  CHECK(world.events("tool.gone").size() == 2);
  CHECK(tools_of(world.model.requests()[3]) ==
        std::vector<std::string>{"good__announce", "good__late"});
  // The next run stops at the pin, with what drifted.
  Upgrade next(", pin: surface");
  std::filesystem::copy_file(upgrade.dir.path() / "pins.json", next.dir.path() / "pins.json");
  write_file(next.version, "2.0");
  const run::RunResult refused = next.world.run();
  CHECK_FALSE(refused.ok);
  CHECK(refused.error.find("add: gone") != std::string::npos);
  CHECK(refused.error.find("echo: description changed") != std::string::npos);
  next.world.model.problems();
}

TEST_CASE("servers: one that never comes is waited for as long as was said, then ended") {
  const TempDir dir;
  const std::string mark = "mark-of-" + dir.path().filename().string();
  World world("agents: {A: {tools: [\"never/*\"]}}\ngraph: {a: {agent: A, in: x}}\nmcp:\n"
              "  never: {command: [/bin/sh, -c, \"sleep 60 # " + mark + "\"], protocol: legacy, "
              "wait: 300ms}\n");
  use_real_servers(world);
  world.model.say("done", "A");
  const TimePoint begun = steady_clock().now();
  const run::RunResult result = world.run();
  const auto took = steady_clock().now() - begun;
  CHECK(result.ok);
  CHECK(took >= 300ms);
  CHECK(took < 15s);
  CHECK(world.model.requests()[0].tools.empty());
  CHECK(states(world, "never") == "starting");
  REQUIRE(result.servers_missing.size() == 1);
  CHECK(result.servers_missing[0].second == "it did not come before the end");
  CHECK(processes_mentioning(mark).empty());
}

TEST_CASE("servers: one that dies in the middle is degraded until it is back") {
  World world("agents: {A: {tools: [good/echo, good/die]}}\ngraph: {a: {agent: A, in: x}}\n"
              "policy: {allow: [good/die]}\nmcp:\n" + server("good", "normal"));
  use_real_servers(world);
  world.model.call({{"", "good__die", Json::object()}}, "A");
  world.model.call({{"", "good__echo", Json{{"b", 2}}}}, "A").say("done", "A");
  const run::RunResult result = world.run();
  CAPTURE(world.story());
  CHECK(result.ok);
  CHECK(world.events("tool.result").at(0).data["is_error"] == true);
  CHECK(world.events("tool.result").at(1).data["text"] == "{\"b\":2}");
  bool said = false;
  for (const run::Event& event : world.events("mcp.state"))
    said = said || event.data.value("reason", "").find("it is started again") == 0;
  CHECK(said);
}

TEST_CASE("servers: what a server says last is in the journal without its secrets") {
  ::setenv("SWARM_TEST_KEY", "s3cr3t-value", 1);
  World world("agents: {A: {}}\ngraph: {a: {agent: A, in: x}}\nmcp:\n"
              "  leaky: {command: [/bin/sh, -c, \"echo key is $K >&2; exit 3\"], protocol: legacy, "
              "env: {K: \"${env.SWARM_TEST_KEY}\"}}\n");
  use_real_servers(world);
  world.model.say("done", "A");
  const run::RunResult result = world.run();
  CHECK(result.ok);
  CHECK(last_reason(world, "leaky").find("key is [redacted]") != std::string::npos);
  const std::string journal = read_file(result.directory + "/journal.jsonl");
  CHECK(journal.find("s3cr3t-value") == std::string::npos);
}

TEST_CASE("servers: progress, hidden text and shadowed names are in the journal") {
  World world("agents: {A: {tools: [\"one/*\", \"two/*\"]}}\ngraph: {a: {agent: A, in: x}}\n"
              "mcp:\n  one: {command: [x]}\n  two: {command: [x]}\n");
  // Tells what a client tells of such a server.
  struct Teller final : mcp::Session {
    Teller(std::string server, mcp::ClientHooks h) : name(std::move(server)), hooks(std::move(h)) {
      tools::ToolSpec spec;
      spec.name = name + "__pay";
      spec.parameters = Json{{"type", "object"}};
      spec.origin = tools::origin_of_server(name);
      spec.server = name;
      spec.remote_name = "pay";
      tool = std::make_shared<tools::ScriptedTool>(spec);
    }
    Async<void> start() override {
      hooks.on_event(name, "hidden_text", Json{{"tool", "pay"}});
      for (int i = 0; i < 1000; ++i)
        hooks.on_event(name, "progress", Json{{"tool", "pay"}, {"progress", i}});
      co_return;
    }
    Async<void> stop() override { co_return; }
    const mcp::ServerInfo& info() const override { return none; }
    std::vector<std::shared_ptr<tools::Tool>> tools() const override { return {tool}; }
    std::string name;
    mcp::ClientHooks hooks;
    mcp::ServerInfo none;
    std::shared_ptr<tools::ScriptedTool> tool;
  };
  world.settings.make_session = [](mcp::ServerConfig config, Executor, Log&,
                                   mcp::ClientHooks hooks) -> std::unique_ptr<mcp::Session> {
    return std::make_unique<Teller>(config.name, std::move(hooks));
  };
  world.model.say("done", "A");
  CHECK(world.run().ok);
  const auto hidden = world.events("tool.hidden_text");
  REQUIRE(hidden.size() == 2);
  CHECK(hidden[0].data["origin"] == "mcp:one");
  const auto shadows = world.events("tool.shadow");
  REQUIRE(shadows.size() == 1);
  CHECK(shadows[0].data["tool"] == "pay");
  CHECK(shadows[0].data["origins"] == Json::parse(R"(["mcp:one", "mcp:two"])"));
  const auto progress = world.events("mcp.progress");
  CHECK(progress.size() >= 2);                   // one of each server
  CHECK(progress.size() < 50);                   // and no flood
  CHECK(progress[0].data["progress"] == 0);
}

TEST_CASE("servers: the status follows what the client tells") {
  run::ServerStatus status;
  CHECK_FALSE(status.told("state", {{"state", "starting"}}));
  status.ready();
  CHECK(status.state == run::ServerState::ready);
  CHECK(status.told("state", {{"state", "starting"}, {"reason", "exit code 7"}}));
  CHECK(status.state == run::ServerState::degraded);
  CHECK(status.reason == "it is started again: exit code 7");
  CHECK(status.told("state", {{"state", "ready"}}));
  CHECK(status.state == run::ServerState::ready);
  const Json bad{{"tool", "x"}, {"why", "no schema"}};
  CHECK(status.told("quarantined", bad));
  CHECK_FALSE(status.told("quarantined", bad));  // a list that was read again
  CHECK(status.state == run::ServerState::degraded);
  CHECK(status.reason == "left out: x (no schema)");
  // One that is started by its first call, and stops when it is idle.
  run::ServerStatus lazy;
  lazy.told("state", {{"state", "idle"}, {"reason", "starts with its first call"}});
  lazy.ready();
  CHECK(lazy.state == run::ServerState::ready);
  CHECK(lazy.reason == "starts with its first call");
  CHECK_FALSE(lazy.told("state", {{"state", "starting"}, {"reason", ""}}));
  CHECK(lazy.told("state", {{"state", "ready"}}));
  CHECK(lazy.reason.empty());
  CHECK(lazy.told("state", {{"state", "idle"}, {"reason", "stopped after 5 ms"}}));
  CHECK(lazy.state == run::ServerState::ready);
  run::ServerStatus locked;
  locked.told("state", {{"state", "needs_auth"}, {"reason", "401"}});
  locked.failed("401");
  CHECK(locked.state == run::ServerState::needs_auth);
  CHECK_FALSE(status.told("progress", Json::object()));
}

TEST_CASE("servers: what each did and cost is in the journal; its calls carry the trace") {
  test::TempDir dir;
  const std::string wire = (dir.path() / "wire").string();
  World world("agents: {A: {tools: [good/echo, good/hang]}}\ngraph: {a: {agent: A, in: x}}\n"
              "policy: {allow: [\"good/*\"]}\nmcp:\n  gone: {command: [/no/such/program]}\n" +
              server("good", "normal", ", call_timeout: 300ms, env: {FIXTURE_LOG: " + wire + "}"));
  use_real_servers(world);
  world.model.call({{"", "good__echo", Json{{"a", 1}}}}, "A")
      .call({{"", "good__hang", Json::object()}}, "A")
      .say("done", "A");
  CHECK(world.run().ok);
  CAPTURE(world.story());
  const auto metrics = world.events("mcp.metrics");
  REQUIRE(metrics.size() == 2);
  CHECK(metrics[0].data["server"] == "gone");
  CHECK(metrics[0].data["starts"] == 0);
  CHECK(metrics[1].data["server"] == "good");
  CHECK(metrics[1].data["starts"] == 1);
  CHECK(metrics[1].data["call_ms"]["count"] == 2);
  CHECK(metrics[1].data["timeouts"] == 1);
  CHECK(metrics[1].data["bytes_received"].get<int64_t>() > 500);
  CHECK(metrics[1].data["definition_tokens_estimate"].get<int64_t>() > 50);
  const std::string trace = world.events("mcp.start").at(0).data["trace"].get<std::string>();
  CHECK(trace.size() == 32);
  CHECK(trace.find_first_not_of("0123456789abcdef") == std::string::npos);
  const std::string said = test::read_file(wire);
  CHECK(said.find("\"traceparent\":\"00-" + trace + "-") != std::string::npos);
}
