// swarm mcp: a swarm served over stdio, looked at and called by the same program as a client.
#include <doctest/doctest.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <map>
#include <sstream>
#include <string>
#include <vector>

#include <boost/asio/io_context.hpp>

#include "engine/base/async/nursery.h"
#include "engine/base/async/run.h"
#include "engine/base/json.h"
#include "mcp/mcp.h"
#include "tests/orchestrator/cli/run_program.h"
#include "tests/support/support.h"

using namespace swarm;

namespace {

using test::Ran;
using test::run;

// One agent that always says the same.
struct Project {
  test::TempDir dir;
  std::string file = (dir.path() / "swarm.yaml").string();

  Project() {
    test::write_file(dir.path() / "swarm.yaml", R"(
schema: swarm/v1
name: oracle
description: Knows one answer
inputs: {task: {required: true, description: what to answer}}
models: {fake: {provider: scripted, script: script.json}}
agents: {A: {instructions: "a"}}
graph: {one: {agent: A, in: "${inputs.task}"}}
journal: {dir: )" + (dir.path() / "runs").string() + "}\n");
    test::write_file(dir.path() / "script.json",
                     R"({"replies": [{"label": "A", "content": "forty-two"}]})");
  }
};

std::vector<std::string> with_server(std::vector<std::string> arguments, const Project& project) {
  for (const char* word : {"--", SWARM_PROGRAM, "mcp", "serve"}) arguments.emplace_back(word);
  arguments.push_back(project.file);
  return arguments;
}

}  // namespace

TEST_CASE("mcp command: a server's last words never move the cursor") {
  for (const char* command : {"list", "doctor"}) {
    const Ran ran = run({"mcp", command, "--", "/bin/sh", "-c",
                         "printf 'or\\033[2Jacle' >&2; exit 3"});
    CAPTURE(ran.out);
    CAPTURE(ran.err);
    CHECK(ran.code == 3);
    CHECK((ran.out + ran.err).find("or\\x1b[2Jacle") != std::string::npos);
    CHECK((ran.out + ran.err).find('\x1b') == std::string::npos);
  }
}

TEST_CASE("mcp command: a served swarm is listed with its inputs and answers a call") {
  const Project project;
  for (const char* protocol : {"modern", "legacy"}) {
    CAPTURE(std::string(protocol));
    const Ran listed =
        run(with_server({"mcp", "list", "--json", "--protocol", protocol}, project));
    CAPTURE(listed.err);
    REQUIRE(listed.code == 0);
    const Json about = parse_json(listed.out).value();
    CHECK(about["era"] == protocol);
    CHECK(about["tools"].size() == 1);
    CHECK(about["tools"][0]["name"] == "server__oracle");
    CHECK(about["tools"][0]["description"] == "Knows one answer");
    const Ran called = run(with_server({"mcp", "call", "oracle", "--protocol", protocol, "-a",
                                        R"({"task": "x"})", "--json"}, project));
    CAPTURE(called.err);
    REQUIRE(called.code == 0);
    const Json result = parse_json(called.out).value();
    CHECK(result["content"][0]["text"] == "forty-two");
    CHECK(result["structuredContent"]["answer"] == "forty-two");
    CHECK(called.err.find("progress") != std::string::npos);
  }
}

TEST_CASE("mcp command: definitions are counted by a model's tokenizer, or said to be estimated") {
  const Project project;
  const std::string demo =
      std::filesystem::absolute("examples/demo-model/demo-model.gguf").string();
  const Ran counted = run(with_server({"mcp", "list", "--json", "--model", demo}, project));
  CAPTURE(counted.err);
  REQUIRE(counted.code == 0);
  const Json about = parse_json(counted.out).value();
  CHECK(about["exact"] == true);
  CHECK(about["tokenizer"] == demo);
  // As a template writes it; the same words through the command that shows tokens.
  const Json& tool = about["tools"][0];
  test::TempDir dir;
  const std::string file = (dir.path() / "swarm.yaml").string();
  const auto write = [&](const std::string& weights) {
    test::write_file(file, "schema: swarm/v1\nmodels: {m: {provider: engine, weights: " + weights +
                               "}}\nagents: {A: {tools: [\"server/*\"]}}\n"
                               "graph: {a: {agent: A, in: x}}\nmcp: {server: {command: [" +
                               SWARM_PROGRAM + ", mcp, serve, " + project.file + "]}}\n");
  };
  write(demo);
  const Ran valid = run({"validate", "--tools", "--json", file});
  CHECK(parse_json(valid.out).value()["tools"][0]["tokens"] == tool["tokens"]);
  CHECK(about["tools_tokens"] == tool["tokens"]);
  const std::string tokens = dump_json(tool["tokens"]);
  for (const char* command : {"list", "doctor"}) {
    CAPTURE(std::string(command));
    write(demo);
    const Ran ours = run({"mcp", command, "--file", file});
    CHECK(ours.out.find(" " + tokens + " tokens (by the tokenizer of " + demo + ")\n") !=
          std::string::npos);
    CHECK(ours.out.find("about") == std::string::npos);
    write("no-such-file.gguf");
    const Ran guessed = run({"mcp", command, "--file", file});
    CHECK(guessed.code == 0);
    CHECK(guessed.out.find(" tokens (estimated: no tokenizer at hand; say --model)") !=
          std::string::npos);
    CHECK(guessed.out.find(", about ") != std::string::npos);
  }
  const Ran wrong = run(with_server({"mcp", "list", "--model", "no-such-file.gguf"}, project));
  CHECK(wrong.code == 3);
  CHECK(wrong.err.find("--model: expected a model with a tokenizer, found") != std::string::npos);
}

TEST_CASE("mcp command: a list of another program is read, each server for itself") {
  const Project project;
  test::TempDir dir;
  const std::string list = (dir.path() / "servers.json").string();
  test::write_file(list, std::string(R"({"mcpServers": { // two
      "oracle": {"command": ")") + SWARM_PROGRAM + R"(", "args": ["mcp", "serve", ")" +
                             project.file + R"("]},
      "lacks": {"command": "x", "env": {"K": "${SWARM_TEST_NONE}"}},
      "off": {"command": "/no/such", "disabled": true}, }})");
  const Ran listed = run({"mcp", "list", "--config", list});
  CHECK(listed.code == 3);
  CHECK(listed.out.find("oracle: swarm/oracle") != std::string::npos);
  CHECK(listed.out.find("off") == std::string::npos);
  CHECK(listed.err.find("mcp server \"lacks\": env.K: variable \"SWARM_TEST_NONE\" is not set") !=
        std::string::npos);
  CHECK(run({"mcp", "list", "--config", "/no/such.json"}).code == 3);
  CHECK(run({"mcp", "list", "--config", list, "--url", "http://x"}).code == 2);
}

TEST_CASE("mcp command: the servers of a project start only after they were approved") {
  const Project project;
  test::TempDir dir;
  struct Elsewhere {
    std::filesystem::path before = std::filesystem::current_path();
    explicit Elsewhere(const std::filesystem::path& path) { std::filesystem::current_path(path); }
    ~Elsewhere() { std::filesystem::current_path(before); }
  } elsewhere(dir.path());
  ::setenv("XDG_CONFIG_HOME", (dir.path() / "config").c_str(), 1);
  const auto write = [&](const std::string& extra) {
    test::write_file(dir.path() / ".mcp.json",
                     std::string(R"({"mcpServers": {"oracle": {"command": ")") + SWARM_PROGRAM +
                         R"(", "args": ["mcp", "serve", ")" + project.file + R"("], "env": {)" +
                         extra + "}}}}");
  };
  write("");
  const Ran first = run({"mcp", "list"});
  CHECK(first.code == 3);
  CHECK(first.out.empty());
  CHECK(first.err.find("was never approved; it would be run as " + std::string(SWARM_PROGRAM)) !=
        std::string::npos);
  CHECK(run({"mcp", "list", "--approve"}).out.find("swarm/oracle") != std::string::npos);
  CHECK(run({"mcp", "list"}).code == 0);
  write(R"("LD_PRELOAD": "x.so")");
  const Ran changed = run({"mcp", "list"});
  CHECK(changed.code == 3);
  CHECK(changed.err.find("has changed since it was approved") != std::string::npos);
}

TEST_CASE("mcp command: doctor tells the state of every server, its reason and its last words") {
  const Project project;
  test::TempDir dir;
  const std::string list = (dir.path() / "servers.json").string();
  test::write_file(list, std::string(R"({"mcpServers": {
      "oracle": {"command": ")") + SWARM_PROGRAM + R"(", "args": ["mcp", "serve", ")" +
                             project.file + R"("]},
      "ends": {"command": "/bin/sh", "args": ["-c", "echo no licence for $KEY >&2; exit 3"],
               "env": {"KEY": "k3y-value"}},
      "slow": {"command": "/bin/sh", "args": ["-c", "sleep 30"], "initTimeout": 700},
      "slower": {"command": "/bin/sh", "args": ["-c", "sleep 30"], "initTimeout": 700},
      "off": {"command": "/no/such", "disabled": true}}})");
  const auto begun = std::chrono::steady_clock::now();
  const Ran doctor = run({"mcp", "doctor", "--config", list, "--json"});
  CHECK(std::chrono::steady_clock::now() - begun < std::chrono::seconds(20));
  CHECK(doctor.code == 3);
  std::map<std::string, Json> reports;
  std::istringstream lines(doctor.out);
  for (std::string line; std::getline(lines, line);) {
    const Json report = parse_json(line).value();
    reports[report["server"].get<std::string>()] = report;
  }
  CHECK(reports.size() == 5);
  CHECK(reports["oracle"]["state"] == "ready");
  CHECK(reports["oracle"]["about"]["tools"].size() == 1);
  CHECK(reports["ends"]["state"] == "failed");
  const auto error = reports["ends"]["error"].get<std::string>();
  CHECK(error.find("no licence for [redacted]") != std::string::npos);
  CHECK(reports["slow"]["state"] == "failed");
  CHECK(reports["slower"]["error"].get<std::string>().find("not ready within 700 ms") !=
        std::string::npos);
  CHECK(reports["off"]["state"] == "disabled");
  const Ran kind = run({"mcp", "doctor", "--protocol", "legacy", "--", MCP_FIXTURE_SERVER});
  CHECK(kind.out.find("  says of itself (not shown to models): be kind\n") != std::string::npos);
}

TEST_CASE("mcp command: bad arguments, unknown tools and missing servers have their exit codes") {
  const Project project;
  const Ran missing = run(with_server({"mcp", "call", "oracle"}, project));
  CHECK(missing.code == 2);                      // found out before the call
  CHECK(missing.err.find("--arguments: $: expected member \"task\"") != std::string::npos);
  const Ran sent = run(with_server({"mcp", "call", "oracle", "--unchecked"}, project));
  CHECK(sent.code == 1);                         // found out by the server
  CHECK(sent.out.find("task") != std::string::npos);
  const Ran misspelt = run(with_server({"mcp", "call", "oracel"}, project));
  CHECK(misspelt.code == 2);
  CHECK(misspelt.err.find("there is no tool \"oracel\"; did you mean \"oracle\"?") !=
        std::string::npos);
  CHECK(run(with_server({"mcp", "call", "nothing", "--unchecked"}, project)).code == 1);
  CHECK(run({"mcp", "list"}).code == 2);
  CHECK(run({"mcp", "list", "--url", "ftp://x"}).code == 2);
  test::write_file(project.dir.path() / "none.json", R"({"mcpServers": {}})");
  const Ran none = run({"mcp", "list", "--config", (project.dir.path() / "none.json").string()});
  CHECK(none.code == 0);
  CHECK(none.err == "the list names no servers\n");
  CHECK(run({"mcp", "doctor", "--", "/no/such/program"}).code == 3);
  CHECK(run({"mcp", "serve", "/no/such/file.yaml"}).code == 3);
}

TEST_CASE("mcp command: the runs of a served swarm can be read, those of others cannot") {
  const Project oracle;
  const Ran own = run({"run", oracle.file, "--in", "task=x", "--run-id", "earlier"});
  REQUIRE(own.code == 0);
  const auto other = oracle.dir.path() / "other.yaml";
  std::string text = test::read_file(oracle.file);
  test::write_file(other, text.replace(text.find("name: oracle"), 12, "name: nobody"));
  const Ran foreign = run({"run", other.string(), "--in", "task=x", "--run-id", "foreign"});
  REQUIRE(foreign.code == 0);

  boost::asio::io_context io(1);
  std::ostringstream log_text;
  Log log(log_text, LogLevel::error);
  mcp::ServerConfig config;
  config.name = "oracle";
  config.command = {SWARM_PROGRAM, "mcp", "serve", oracle.file};
  const auto client = mcp::make_client(config, io.get_executor(), log);
  const auto read = [&](std::string uri) -> Async<std::string> {
    try {
      const Json contents = co_await client->read_resource("swarm://runs/" + uri);
      co_return contents.at("contents").at(0).at("text").get<std::string>();
    } catch (const ErrorException& e) {
      co_return e.error().message;
    }
  };
  const auto visit = [&]() -> Async<> {
    co_await client->start();
    const mcp::CallOptions options;
    const Json arguments{{"task", "y"}};
    const Json result = co_await client->call_tool("oracle", arguments, options);
    const Json link = result.at("content").at(1);
    CHECK(link.at("type") == "resource_link");
    const std::string uri = link.at("uri").get<std::string>();
    const auto listed = co_await client->list(mcp::List::resources);
    CHECK(listed.size() == 1);
    CHECK(listed.front().at("uri") == uri);
    const std::string run = uri.substr(std::string("swarm://runs/").size());
    const Json ref{{"type", "ref/resource"}, {"uri", "swarm://runs/{id}"}};
    const Json completed = co_await client->complete(ref, "id", run.substr(0, 3), Json());
    CHECK(completed.at("completion").at("values") == Json::array({run}));
    const std::string journal = co_await read(run);
    CHECK(journal.find("forty-two") != std::string::npos);
    const std::string earlier = co_await read("earlier");
    CHECK(earlier.find("forty-two") != std::string::npos);
    for (const char* none : {"foreign", "none", "..", ".", "earlier%2f"}) {
      CAPTURE(std::string(none));
      const std::string refused = co_await read(none);
      CHECK(refused.find("(code -32602)") != std::string::npos);
    }
  };
  const auto stop = [&]() -> Async<> { co_await client->stop(); };
  run_root(io, with_cleanup(visit, stop));
}

TEST_CASE("mcp command: results of any shape are shown, none is believed") {
  struct Case {
    const char *result, *shown;
    int code;
  };
  for (const Case& one : {
           Case{R"({"content":[{"type":"text","text":"a"},{"type":"text"},"x",7]})",
                "a\n{\"type\":\"text\"}\n\"x\"\n7\n", 0},
           Case{R"({"content":[{"type":7,"text":5}],"isError":true})",
                "{\"type\":7,\"text\":5}\n", 1},
           Case{R"({"content":"x"})", "{\"content\":\"x\"}\n", 0},
           Case{R"({"content":{"a":1},"structuredContent":{"b":2}})", "{\"b\":2}\n", 0},
           Case{R"({"content":null,"isError":"x"})", "{\"content\":null,\"isError\":\"x\"}\n", 0},
           Case{"{}", "{}\n", 0},
           Case{"7", "7\n", 1},
           Case{"[]", "[]\n", 1}}) {
    CAPTURE(std::string(one.result));
    const std::string arguments = "{\"result\":" + std::string(one.result) + "}";
    const Ran ran = run({"mcp", "call", "verbatim", "-a", arguments, "--protocol", "legacy", "--",
                         MCP_FIXTURE_SERVER, "curious"});
    CHECK(ran.out == one.shown);
    CHECK(ran.code == one.code);
    CHECK(ran.err.find("json.exception") == std::string::npos);
  }
}

TEST_CASE("mcp command: a lazy server runs once to be known, then only to be called") {
  const Project oracle;
  test::TempDir dir;
  const auto started = [&dir] {
    const auto path = dir.path() / "starts";
    return std::filesystem::exists(path) ? test::read_file(path).size() : 0;
  };
  const std::string file = (dir.path() / "swarm.yaml").string();
  test::write_file(dir.path() / "swarm.yaml", R"(
schema: swarm/v1
models: {fake: {provider: scripted, script: script.json}}
agents: {A: {tools: [side/oracle]}}
graph: {one: {agent: A, in: "x"}}
journal: {dir: )" + (dir.path() / "runs").string() + R"(}
mcp:
  side:
    command: [/bin/sh, -c, "printf x >> )" + (dir.path() / "starts").string() + "; exec " +
                                                  SWARM_PROGRAM + " mcp serve " + oracle.file +
                                                  R"("]
    start: lazy
    list_cache: )" + (dir.path() / "lists").string() + "\n");
  const auto reply = [&dir](const char* text) {
    test::write_file(dir.path() / "script.json", text);
  };
  reply(R"({"replies": [{"label": "A", "content": "hello"}]})");
  CHECK(run({"validate", file}).out.find("side/oracle: ask with --tools") != std::string::npos);
  CHECK(started() == 0);
  CHECK(run({"run", file}).code == 0);
  CHECK(started() == 1);
  const Ran again = run({"run", file, "--run-id", "again"});
  CHECK(again.code == 0);
  CHECK(started() == 1);
  const std::string journal = test::read_file(dir.path() / "runs/again/journal.jsonl");
  CHECK(journal.find(R"("side__oracle")") != std::string::npos);
  const Ran valid = run({"validate", file});
  CHECK(valid.out.find("agent A: 1 tool, about") != std::string::npos);
  CHECK(started() == 1);
  CHECK(run({"validate", "--tools", file}).code == 0);
  CHECK(started() == 2);
}

TEST_CASE("mcp command: a recorded server plays in a swarm that it does not take part in") {
  const Project oracle;
  test::TempDir dir;
  const std::string file = (dir.path() / "swarm.yaml").string();
  const auto write = [&](const std::string& command, const std::string& how) {
    test::write_file(dir.path() / "swarm.yaml", R"(
schema: swarm/v1
models: {fake: {provider: scripted, script: script.json}}
agents: {A: {tools: [side/oracle]}}
graph: {one: {agent: A, in: "x"}}
policy: {allow: [side/oracle]}
journal: {dir: )" + (dir.path() / "runs").string() +
                         "}\nmcp: {side: {command: [" + command + "], " + how + ": s.jsonl}}\n");
  };
  test::write_file(dir.path() / "script.json", R"({"replies": [
      {"label": "A", "tool_calls": [{"name": "side__oracle", "arguments": {"task": "x"}}]},
      {"label": "A", "content": "done"}]})");
  // Types of the events in order, and what the tool said.
  const auto journal = [&](const std::string& id) {
    std::string out;
    std::istringstream in(test::read_file(dir.path() / "runs" / id / "journal.jsonl"));
    for (std::string line; std::getline(in, line);) {
      const Json event = parse_json(line).value();
      out += event["type"].get<std::string>() + "\n";
      if (event["type"] == "tool.result") out += dump_json(event["data"]["text"]) + "\n";
    }
    return out;
  };
  write(std::string(SWARM_PROGRAM) + ", mcp, serve, " + oracle.file, "record");
  const Ran live = run({"run", file, "--run-id", "live"});
  CAPTURE(live.err);
  REQUIRE(live.code == 0);
  write("/no/such/program", "replay");
  for (const char* id : {"once", "twice"}) {
    const Ran replayed = run({"run", file, "--run-id", id});
    CAPTURE(replayed.err);
    CHECK(replayed.code == 0);
    CHECK(replayed.out == live.out);
    CHECK(journal(id) == journal("live"));
  }
  CHECK(journal("live").find("forty-two") != std::string::npos);
  const std::string recording = (dir.path() / "s.jsonl").string();
  const Ran called = run({"mcp", "call", "oracle", "--replay", recording, "-a",
                          R"({"task": "x"})", "--", "/no/such/program"});
  CHECK(called.code == 0);
  CHECK(called.out.find("forty-two") == 0);
  const Ran both = run({"mcp", "call", "oracle", "--replay", recording, "--record", recording,
                        "--", "/no/such/program"});
  CHECK(both.code == 2);
  CHECK(both.err.find("expected either --record or --replay, found both") != std::string::npos);
  const Ran other = run({"mcp", "call", "oracle", "--replay", recording, "-a",
                         R"({"task": "y"})", "--", "/no/such/program"});
  CHECK(other.code == 1);
  CHECK(other.err.find("has no answer, or no further one, to tools/call") != std::string::npos);
}
