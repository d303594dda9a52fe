// Servers that keep state, with an instance for each agent: real processes that remember what they
// are told.
#include <doctest/doctest.h>

#include <signal.h>

#include <chrono>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include "tests/orchestrator/run/real_servers.h"

using namespace swarm;
using namespace swarm::test;
using namespace std::chrono_literals;

namespace {

agents::ModelReply notes(const std::vector<std::string>& texts) {
  agents::ModelReply reply;
  for (const std::string& text : texts)
    reply.tool_calls.push_back({"", "pad__note", Json{{"text", text}}});
  reply.finish = agents::FinishReason::tool_calls;
  return reply;
}

// Agents A and B, A once more, and a task that is a call.
struct Pad {
  TempDir dir;
  std::string pids = (dir.path() / "pids").string();
  World world;

  explicit Pad(const std::string& keys, const std::string& graph)
      : world("agents: {A: {tools: [pad/note]}, B: {tools: [pad/note]}}\n"
              "policy: {allow: [\"pad/*\"]}\ngraph: " + graph + "\nmcp:\n" +
              server("pad", "normal",
                     ", env: {FIXTURE_PIDS: " + pids + ", FIXTURE_VERSION: " +
                         (dir.path() / "version").string() + "}" + keys)) {
    write_file(dir.path() / "version", "1.2");
    use_real_servers(world);
  }
  std::vector<int> started() const {
    std::vector<int> out;
    std::istringstream in(std::filesystem::exists(pids) ? read_file(pids) : "");
    for (int pid = 0; in >> pid;) out.push_back(pid);
    return out;
  }
  // What the calls of each caller were answered, in order.
  std::map<std::string, std::vector<std::string>> said() const {
    std::map<std::string, std::vector<std::string>> out;
    for (const run::Event& event : world.events("tool.result"))
      out[event.data.value("agent", event.data.value("task", ""))].push_back(
          event.data["text"].get<std::string>());
    return out;
  }
};

const std::string kTwoAgentsThenOne =
    "{a: {agent: A, in: x}, b: {agent: B, in: x, after: [a]}, c: {agent: A, in: x, after: [b]}, "
    "d: {tool: pad/note, args: {text: d}, after: [c]}}";

void three_notes(World& world) {
  world.model.then({.label = "A", .reply = notes({"a"})}).say("done", "A");
  world.model.then({.label = "B", .reply = notes({"b"})}).say("done", "B");
  world.model.then({.label = "A", .reply = notes({"c"})}).say("done", "A");
}

}  // namespace

TEST_CASE("instances: two agents do not see each other's state where the server is marked so") {
  Pad pad(", instance: per_agent", kTwoAgentsThenOne);
  three_notes(pad.world);
  CHECK(pad.world.run().ok);
  CAPTURE(pad.world.story());
  auto said = pad.said();
  CHECK(said["A"] == std::vector<std::string>{R"(["a"])", R"(["a","c"])"});  // keeps its own
  CHECK(said["B"] == std::vector<std::string>{R"(["b"])"});
  CHECK(said["d"] == std::vector<std::string>{R"(["d"])"});
  const std::vector<int> pids = pad.started();
  CHECK(pids.size() == 3);                       // the first one lists the tools and is A's
  for (const int pid : pids) CHECK(::kill(pid, 0) != 0);
  std::string owners;
  for (const run::Event& event : pad.world.events("mcp.instance"))
    if (event.data["state"] == "ready") owners += event.data["agent"].get<std::string>() + " ";
  CHECK(owners == "A B d ");
  std::map<std::string, Json> calls;
  for (const run::Event& event : pad.world.events("mcp.metrics"))
    calls[event.data["agent"].get<std::string>()] = event.data["call_ms"]["count"];
  CHECK(calls == std::map<std::string, Json>{{"A", 2}, {"B", 1}, {"d", 1}});
  // One server of all, as it is without the mark.
  Pad shared("", kTwoAgentsThenOne);
  three_notes(shared.world);
  CHECK(shared.world.run().ok);
  CHECK(shared.said()["d"] == std::vector<std::string>{R"(["a","b","c","d"])"});
  CHECK(shared.started().size() == 1);
}

TEST_CASE("instances: calls of one agent that come together start one instance") {
  Pad pad(", instance: per_agent", "{a: {agent: A, in: x}, b: {agent: B, in: x}}");
  const std::vector<std::string> many{"1", "2", "3", "4", "5", "6"};
  pad.world.model.then({.label = "A", .reply = notes(many)}).say("done", "A");
  pad.world.model.then({.label = "B", .reply = notes(many)}).say("done", "B");
  CHECK(pad.world.run().ok);
  CAPTURE(pad.world.story());
  CHECK(pad.started().size() == 2);
  const auto said = pad.said();
  for (const char* agent : {"A", "B"}) {
    size_t longest = 0;                          // they may arrive in any order
    for (const std::string& text : said.at(agent))
      longest = std::max(longest, parse_json(text).value().size());
    CHECK(longest == 6);
  }
}

TEST_CASE("instances: one that fails or offers something else is an error of its agent alone") {
  // A server that can be started once.
  TempDir dir;
  const std::string lock = (dir.path() / "lock").string();
  World once("agents: {A: {tools: [pad/note]}, B: {tools: [pad/note]}}\n"
             "policy: {allow: [\"pad/*\"]}\ngraph: " + kTwoAgentsThenOne + "\nmcp:\n  pad:\n"
             "    command: [/bin/sh, -c, \"mkdir " + lock +
             " || { echo taken >&2; exit 3; }; exec " + kFixture + " normal\"]\n"
             "    protocol: legacy\n    instance: per_agent\n");
  use_real_servers(once);
  three_notes(once);
  const run::RunResult result = once.run();
  CAPTURE(once.story());
  CHECK_FALSE(result.ok);                        // the task that is a call
  const auto results = once.events("tool.result");
  REQUIRE(results.size() == 4);
  CHECK(results[0].data["text"] == R"(["a"])");
  CHECK(results[1].data["is_error"] == true);
  CHECK(results[1].data["text"].get<std::string>().find("taken") != std::string::npos);
  CHECK(results[2].data["text"] == R"(["a","c"])");
  // B's is another version, in which another tool is described anew: only that one is refused.
  Pad drifted(", instance: per_agent",
              "{a: {agent: A, in: x}, b: {agent: B, in: x, after: [a]}, "
              "d: {tool: pad/echo, after: [b]}, e: {tool: pad/add, after: [b]}}");
  drifted.world.model.then({.label = "A", .reply = notes({"a"})}).say("done", "A");
  drifted.world.model.then({.label = "B", .reply = notes({"b"}), .before = [&]() -> Async<> {
                              write_file(drifted.dir.path() / "version", "2.0");
                              co_return;
                            }}).say("done", "B");
  CHECK_FALSE(drifted.world.run().ok);
  auto said = drifted.said();
  CHECK(said["B"] == std::vector<std::string>{R"(["b"])"});
  CHECK(said["d"] == std::vector<std::string>{"mcp server \"pad\": the instance of d offers this "
                                              "tool otherwise than it was shown"});
  CHECK(said["e"] == std::vector<std::string>{"mcp server \"pad\": the instance of e does not "
                                              "offer this tool"});
}
