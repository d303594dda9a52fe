// The policy of a run: what is called, what is not, who was asked, and what the journal says.
#include <doctest/doctest.h>

#include <filesystem>

#include "tests/orchestrator/run/world.h"
#include "tools/scripted_tool.h"

using namespace swarm;
using namespace swarm::test;

namespace {

// One agent, one call of one tool with effects, one answer.
struct Case {
  explicit Case(const std::string& yaml)
      : world("agents: {A: {tools: [mail/send]}}\ngraph: {a: {agent: A, in: x}}\n"
              "mcp: {mail: {command: [x], disabled: true}}\n" + yaml) {
    tools::ToolSpec spec;
    spec.name = "mail__send";
    spec.parameters = Json{{"type", "object"}};
    spec.origin = "scripted";
    tool = std::make_shared<tools::ScriptedTool>(spec);
    tool->then("sent");
    world.settings.tools = {tool};
    world.model.call({{"", "mail__send", Json{{"to", "bob"}}}}, "A").say("done", "A");
  }
  ~Case() {
    tool->problems();
    world.model.problems();
  }
  std::string result_text() {
    const auto results = world.events("tool.result");
    return results.empty() ? "" : results[0].data["text"].get<std::string>();
  }
  World world;
  std::shared_ptr<tools::ScriptedTool> tool;
};

}  // namespace

TEST_CASE("policy: without one a call with effects is refused, and the journal names the rule") {
  Case one("");
  CHECK(one.world.run().ok);
  CHECK(one.tool->calls().empty());
  const auto decisions = one.world.events("tool.policy");
  REQUIRE(decisions.size() == 1);
  CHECK(decisions[0].data["allowed"] == false);
  CHECK(decisions[0].data["agent"] == "A");
  CHECK(decisions[0].data["tool"] == "mail__send");
  CHECK(decisions[0].data["rule"] == "default: it has effects and there is no policy");
  CHECK(one.result_text().find("not allowed by the policy") != std::string::npos);
}

TEST_CASE("policy: what a rule allows is called, after the decision is in the journal") {
  Case one("policy: {allow: [\"mail/send:to=b*\"]}\n");
  CHECK(one.world.run().ok);
  CHECK(one.tool->calls().size() == 1);
  CHECK(one.result_text() == "sent");
  const auto decisions = one.world.events("tool.policy");
  REQUIRE(decisions.size() == 1);
  CHECK(decisions[0].data["allowed"] == true);
  CHECK(decisions[0].data["rule"] == "allow mail/send:to=b*");
  CHECK(decisions[0].seq < one.world.events("tool.result")[0].seq);
}

TEST_CASE("policy: where nobody can be asked, ask means what the file says, and never waits") {
  Case denied("policy: {ask: [mail/send]}\n");
  CHECK(denied.world.run().ok);
  CHECK(denied.tool->calls().empty());
  CHECK(denied.result_text().find("nobody can be asked") != std::string::npos);
  CHECK(denied.world.events("tool.policy")[0].data["by"] == "unattended");

  Case allowed("policy: {ask: [mail/send], unattended: allow}\n");
  CHECK(allowed.world.run().ok);
  CHECK(allowed.tool->calls().size() == 1);

  Case failing("policy: {ask: [mail/send], unattended: fail}\n");
  const run::RunResult result = failing.world.run();
  CHECK_FALSE(result.ok);
  CHECK(result.error.find("needs somebody's consent") != std::string::npos);
  CHECK(failing.tool->calls().empty());

  Case yes("policy: {ask: [mail/send]}\n");  // swarm run --yes
  yes.world.settings.unattended = config::Unattended::allow;
  CHECK(yes.world.run().ok);
  CHECK(yes.tool->calls().size() == 1);
}

TEST_CASE("policy: a person is asked what the rules leave open, and may refuse") {
  for (const bool answer : {true, false}) {
    Case one("policy: {ask: [mail/send], deny: [\"mail/send:to=eve\"]}\n");
    std::vector<run::Question> asked;
    one.world.settings.ask = [&asked, answer](run::Question question) -> Async<run::Consent> {
      asked.push_back(std::move(question));
      co_return answer ? run::Consent::yes : run::Consent::no;
    };
    CHECK(one.world.run().ok);
    REQUIRE(asked.size() == 1);
    CHECK(asked[0].agent == "A");
    CHECK(asked[0].tool == "mail__send");
    CHECK(asked[0].arguments == Json{{"to", "bob"}});
    CHECK(asked[0].rule == "ask mail/send");
    CHECK(one.tool->calls().size() == (answer ? 1 : 0));
    CHECK(one.world.events("tool.policy")[0].data["by"] == "person");
    CHECK(one.world.events("tool.policy")[0].data["allowed"] == answer);
  }
}

TEST_CASE("run: tools of the file and long results: a script, its policy, an artifact") {
  World world(R"(
agents: {A: {tools: [numbers, read_artifact], tool_result_bytes_max: 300}}
tools:
  numbers: {script: [seq, "1", "2000"], description: "Counts.", effect: read}
graph: {a: {agent: A, in: x}}
)");
  world.model.call({{"", "numbers", Json::object()}}, "A");
  world.model.call({{"", "read_artifact", Json{{"handle", "result-1"}, {"offset", 400},
                                               {"limit", 10}}}},
                   "A");
  world.model.say("done", "A");
  const run::RunResult result = world.run();
  CAPTURE(world.story());
  CHECK(result.ok);
  const auto results = world.events("tool.result");
  REQUIRE(results.size() == 2);
  CHECK(results[0].data["text"].get<std::string>().find("handle \"result-1\"") !=
        std::string::npos);
  CHECK(results[1].data["text"].get<std::string>().rfind("128\n129\n13", 0) == 0);
  CHECK(std::filesystem::exists(std::filesystem::path(result.directory) / "artifacts/result-1"));
}

TEST_CASE("run: the file tools of one folder fill it together only so far, each run anew") {
  const TempDir dir;
  const std::string root = dir.path().string();
  for (int run = 0; run < 2; ++run) {
    World world("agents: {A: {tools: [write_file, edit_file]}}\ngraph: {a: {agent: A, in: x}}\n"
                "policy: {allow: [write_file, edit_file]}\n"
                "tools:\n  write_file: {root: " + root + ", disk: 16KiB}\n"
                "  edit_file: {root: " + root + "/., disk: 16KiB}\n");
    const auto write = [](const std::string& path, size_t bytes) {
      return Json{{"path", path}, {"content", std::string(bytes, 'x')}};
    };
    const std::string file = "file" + std::to_string(run);
    world.model.call({{"", "write_file", write(file, 3000)}}, "A");
    world.model.call({{"", "edit_file", Json{{"path", file}, {"old_text", std::string(3000, 'x')},
                                             {"new_text", std::string(12000, 'y')}}}}, "A");
    world.model.call({{"", "write_file", write("more", 1)}}, "A");
    world.model.call({{"", "edit_file", Json{{"path", file}, {"old_text", std::string(12000, 'y')},
                                             {"new_text", std::string(12500, 'z')}}}}, "A");
    world.model.say("done", "A");
    CHECK(world.run().ok);
    CAPTURE(world.story());
    const auto results = world.events("tool.result");
    REQUIRE(results.size() == 4);
    const std::string full = "not written: in this run the root folder has grown by 16384 bytes";
    CHECK(results[0].data["is_error"] == false);
    CHECK(results[1].data["is_error"] == false);
    CHECK(results[2].data["text"].get<std::string>().find(full) == 0);
    CHECK(results[3].data["text"].get<std::string>().find(full) == 0);
    CHECK_FALSE(std::filesystem::exists(dir.path() / "more"));
  }
}

TEST_CASE("run: a tool that cannot work here ends the run before any model call") {
  World world(R"(
agents: {A: {tools: [shell]}}
tools: {shell: {root: /no/such/folder}}
graph: {a: {agent: A, in: x}}
)");
  const run::RunResult result = world.run();
  CHECK(result.kind == ErrorKind::environment);
  CHECK(result.error.find("tool shell: root \"/no/such/folder\"") != std::string::npos);
  CHECK(result.totals.model_calls == 0);
}

TEST_CASE("run: a pattern never hands out a program that nobody has written down") {
  World world(R"(
agents: {A: {tools: ["*"]}}
graph: {a: {agent: A, in: x}}
)");
  world.model.say("done", "A");
  CHECK(world.run().ok);
  REQUIRE(world.model.requests()[0].tools.size() == 2);
  CHECK(world.model.requests()[0].tools[0].name == "calculator");
  CHECK(world.model.requests()[0].tools[1].name == "now");
}

TEST_CASE("policy: always holds for the tool and the rule that asked, and never beats a deny") {
  World world("agents: {A: {tools: [mail/send]}}\ngraph: {a: {agent: A, in: x}}\n"
              "mcp: {mail: {command: [x], disabled: true}}\n"
              "policy: {deny: [\"mail/send:to=eve\"], ask: [\"mail/send:to=b*\", mail/send]}\n");
  tools::ToolSpec spec;
  spec.name = "mail__send";
  spec.parameters = Json{{"type", "object"}};
  const auto tool = std::make_shared<tools::ScriptedTool>(spec);
  for (int i = 0; i < 3; ++i) tool->then("sent");
  world.settings.tools = {tool};
  std::string asked;
  world.settings.ask = [&asked](run::Question question) -> Async<run::Consent> {
    asked += question.arguments["to"].get<std::string>() + " ";
    co_return run::Consent::always;
  };
  for (const char* to : {"bob", "ben", "eve", "carl"})
    world.model.call({{"", "mail__send", Json{{"to", to}}}}, "A");
  world.model.say("done", "A");
  CHECK(world.run().ok);
  CHECK(asked == "bob carl ");
  CHECK(tool->calls().size() == 3);
  CHECK(world.events("tool.policy").at(1).data["by"] == "person, always");
  CHECK(world.events("tool.policy").at(2).data["allowed"] == false);
}

TEST_CASE("policy: what was approved with a server is allowed, unless the file says otherwise") {
  const auto verdict = [](const std::string& approved, const std::string& policy) {
    World world("agents: {A: {tools: [mail/send]}}\ngraph: {a: {agent: A, in: x}}\n"
                "mcp: {mail: {command: [x], wait: 0s, approved_tools: [" + approved + "]}}\n" +
                policy);
    tools::ToolSpec spec;
    spec.name = "mail__send";
    spec.parameters = Json{{"type", "object"}};
    world.settings.tools = {std::make_shared<tools::ScriptedTool>(spec)};
    auto& tool = static_cast<tools::ScriptedTool&>(*world.settings.tools[0]);
    tool.then("sent");
    world.settings.make_session = [](mcp::ServerConfig, Executor, Log&, mcp::ClientHooks)
        -> std::unique_ptr<mcp::Session> {
      struct Broken final : mcp::Session {
        Async<void> start() override {
          throw ErrorException(environment_error("broken"));
          co_return;
        }
        Async<void> stop() override { co_return; }
        const mcp::ServerInfo& info() const override { return none; }
        std::vector<std::shared_ptr<tools::Tool>> tools() const override { return {}; }
        mcp::ServerInfo none;
      };
      return std::make_unique<Broken>();
    };
    world.model.call({{"", "mail__send", Json{{"to", "bob"}}}}, "A").say("done", "A");
    CHECK(world.run().ok);
    static_cast<void>(tool.problems());
    return world.events("tool.policy").at(0).data["rule"].get<std::string>();
  };
  CHECK(verdict("send", "") == "approved with its server: mail/send");
  CHECK(verdict("\"*\"", "") == "approved with its server: mail/*");
  CHECK(verdict("other", "") == "default: it has effects and there is no policy");
  CHECK(verdict("send", "policy: {deny: [mail/send]}\n") == "deny mail/send");
  CHECK(verdict("send", "policy: {ask: [mail/send]}\n") == "ask mail/send");
  CHECK(verdict("send", "policy: {allow: [calculator]}\n") ==
        "approved with its server: mail/send");
}
