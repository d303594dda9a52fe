// Names of the tools of several servers: unique, short, and the same whoever was there first.
#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "orchestrator/run/tool_names.h"
#include "tests/orchestrator/run/world.h"
#include "tools/scripted_tool.h"

using namespace swarm;
using namespace swarm::test;

namespace {

tools::ToolSpec spec(const std::string& server, const std::string& tool) {
  tools::ToolSpec out;
  out.name = server + "__" + tool;
  out.parameters = Json{{"type", "object"}};
  out.origin = tools::origin_of_server(server);
  out.server = server;
  out.remote_name = tool;
  return out;
}

std::string name_of(const std::string& server, const std::string& tool,
                    std::vector<std::string> servers, std::vector<std::string> ours = {}) {
  return run::public_name(spec(server, tool), {.servers = servers, .ours = ours});
}

// A server of one tool, which answers with the server's name.
class OneTool final : public mcp::Session {
 public:
  OneTool(const std::string& server, const std::string& tool) {
    tool_ = std::make_shared<tools::ScriptedTool>(spec(server, tool));
    tool_->then("of " + server);
  }
  ~OneTool() override { tool_->problems(); }
  Async<void> start() override { co_return; }
  Async<void> stop() override { co_return; }
  const mcp::ServerInfo& info() const override { return info_; }
  std::vector<std::shared_ptr<tools::Tool>> tools() const override { return {tool_}; }

 private:
  mcp::ServerInfo info_;
  std::shared_ptr<tools::ScriptedTool> tool_;
};

}  // namespace

TEST_CASE("tool names: plain where nobody else could have the name") {
  CHECK(name_of("shop", "price", {"shop", "web"}) == "shop__price");
  CHECK(name_of("a__b", "c", {"a__b"}) == "a__b__c");
  CHECK(name_of("a", "b__c", {"a"}) == "a__b__c");
  tools::ToolSpec own;
  own.name = "calculator";
  own.origin = "builtin";
  CHECK(run::public_name(own, {.servers = {}, .ours = {}}) == "calculator");
}

TEST_CASE("tool names: collisions, odd names and long ones end in a hash, whoever came first") {
  const std::vector<std::string> one{"a", "a__b"}, other{"a__b", "a"};
  const std::string mine = name_of("a", "b__c", one);
  CHECK(mine != "a__b__c");
  CHECK(mine.starts_with("a__b__c_"));
  CHECK(name_of("a__b", "c", one) == "a__b__c");
  CHECK(name_of("a", "b__c", other) == mine);
  CHECK(name_of("a__b", "c", other) == "a__b__c");
  // One of ours has the name.
  const std::string beside = name_of("shop", "price", {"shop"}, {"shop__price"});
  CHECK(beside.starts_with("shop__price_"));
  CHECK(name_of("shop", "price", {"web", "shop"}, {"x", "shop__price"}) == beside);
  // Names of servers that are none, and that would be one when made plain.
  const std::string odd = name_of("my.shop", "price", {"my.shop", "my_shop"});
  CHECK(odd.starts_with("my_shop__price_"));
  CHECK(name_of("my shop", "price", {"my shop", "my.shop"}) != odd);
  const std::string longer(80, 'x');
  const std::string cut = name_of(longer, "t", {longer});
  CHECK(cut.size() == 64);
  CHECK(name_of(longer, "u", {longer}) != cut);
}

TEST_CASE("tool names: both tools of a collision are usable, in whatever order servers are named") {
  std::map<std::string, std::string> first;       // server -> public name
  for (const bool swapped : {false, true}) {
    CAPTURE(swapped);
    World world(std::string("agents: {A: {tools: [a/b__c, a__b/c]}}\n"
                            "graph: {a: {agent: A, in: x}}\n"
                            "policy: {allow: [a/b__c], deny: [\"a__b/*\"]}\n") +
                (swapped ? "mcp: {a__b: {command: [x]}, a: {command: [x]}}\n"
                         : "mcp: {a: {command: [x]}, a__b: {command: [x]}}\n"));
    world.settings.make_session = [](mcp::ServerConfig config, Executor, Log&, mcp::ClientHooks) {
      return std::make_unique<OneTool>(config.name, config.name == "a" ? "b__c" : "c");
    };
    const std::string of_a = name_of("a", "b__c", {"a", "a__b"});
    world.model.call({{"", of_a, Json::object()}, {"", "a__b__c", Json::object()}}, "A");
    world.model.say("done", "A");
    const run::RunResult result = world.run();
    CAPTURE(world.story());
    CHECK(result.ok);
    std::map<std::string, std::string> names;
    for (const tools::ToolSpec& tool : world.model.requests()[0].tools)
      names[tool.origin] = tool.name;
    CHECK(names.size() == 2);
    if (first.empty()) first = names;
    CHECK(names == first);
    std::map<std::string, std::string> said;
    for (const run::Event& event : world.events("tool.result"))
      said[event.data["tool"].get<std::string>()] = event.data["text"].get<std::string>();
    CHECK(said[of_a] == "of a");
    // A rule means the server it names, not the other way to read the public name.
    CHECK(said["a__b__c"].find("not allowed by the policy") != std::string::npos);
    const auto renamed = world.events("tool.renamed");
    REQUIRE(renamed.size() == 1);
    CHECK(renamed[0].data["tool"] == of_a);
    CHECK(renamed[0].data["origin"] == "mcp:a");
    CHECK(renamed[0].data["remote"] == "b__c");
  }
}
