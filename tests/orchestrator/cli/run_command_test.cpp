// The commands around a run, through the whole program with a scripted model from a file.
#include <doctest/doctest.h>

#include <filesystem>
#include <sstream>
#include <string>
#include <vector>

#include "engine/base/json.h"
#include "tests/orchestrator/cli/run_program.h"
#include "tests/support/support.h"

using namespace swarm;

namespace {

using test::Ran;
using test::run;

// A swarm of two workers and a manager with its script, and a place for journals.
struct Project {
  test::TempDir dir;
  std::string file = (dir.path() / "swarm.yaml").string();
  std::string runs = (dir.path() / "runs").string();

  explicit Project(const std::string& halt = "true") {
    test::write_file(dir.path() / "swarm.yaml", R"(
schema: swarm/v1
name: pair
inputs: {task: {required: true}}
models: {fake: {provider: scripted, script: script.json}}
agents: {A: {instructions: "a"}, B: {instructions: "b"}}
topologies:
  t: {members: [A, B], manager: {}, rounds: {max: 1}, match: {tau: 0.5}, answer: [B]}
journal: {dir: )" + runs + "}\n");
    test::write_file(dir.path() / "script.json", R"({"replies": [
      {"label": "A", "content": {"public": "p", "private": "for B", "query": "", "key": "facts"}},
      {"label": "B", "tool_calls": []},
      {"label": "Manager", "content": {"status": "s", "is_complete": )" + halt + R"(,
        "next_goal": "", "answer_from": "B"}}]})");
    std::string text = test::read_file(dir.path() / "script.json");
    const std::string old = R"({"label": "B", "tool_calls": []})";
    text.replace(text.find(old), old.size(),
                 R"({"label": "B", "content": {"public": "q", "private": "", "answer": "42",
                     "query": "facts", "key": ""}})");
    test::write_file(dir.path() / "script.json", text);
  }
};

std::vector<Json> lines(const std::string& text) {
  std::vector<Json> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(parse_json(line).value());
  return out;
}

}  // namespace

TEST_CASE("cli: run prints the answer on stdout and the story on stderr") {
  const Project project;
  const Ran ran = run({"run", project.file, "--in", "task=x", "--run-id", "r1"});
  CHECK(ran.code == 0);
  CHECK(ran.out == "42\n");
  CHECK(ran.err.find("round 1: x") != std::string::npos);
  CHECK(ran.err.find("A => B") != std::string::npos);
  CHECK(ran.err.find("r1/journal.jsonl") != std::string::npos);
}

TEST_CASE("cli: run --json prints events and then the result, nothing else") {
  const Project project;
  const Ran ran = run({"run", project.file, "--in", "task=x", "--json"});
  CHECK(ran.code == 0);
  CHECK(ran.err.empty());
  const std::vector<Json> printed = lines(ran.out);
  REQUIRE(printed.size() > 5);
  CHECK(printed.front()["type"] == "run.start");
  CHECK(printed[printed.size() - 2]["type"] == "run.end");
  CHECK(printed.back()["answer"] == "42");
  CHECK(printed.back()["outcome"] == "complete");
  CHECK(printed.back()["rounds"] == 1);
  CHECK(printed.back()["usage"]["model_calls"] == 3);
}

TEST_CASE("cli: exhausted rounds are exit code 1, with the best answer and no answer") {
  const Project project("false");
  const Ran ran = run({"run", project.file, "--in", "task=x", "--json", "--quiet"});
  CHECK(ran.code == 1);
  const Json result = lines(ran.out).back();
  CHECK(result["outcome"] == "rounds_exhausted");
  CHECK(result["answer"].is_null());
  CHECK(result["best"] == "42");
}

TEST_CASE("cli: exit codes tell invalid input, environment and budget apart") {
  const Project project;
  CHECK(run({"run", project.file}).code == 2);  // inputs.task is missing
  CHECK(run({"run", "/nonexistent.yaml"}).code == 3);
  const Ran no_script =
      run({"run", project.file, "--in", "task=x", "--set", "models.fake.script=none.json"});
  CHECK(no_script.code == 3);
  const Ran budget =
      run({"run", project.file, "--in", "task=x", "--quiet", "--set", "limits.model_calls=1"});
  CHECK(budget.code == 4);
  CHECK(budget.out.empty());
  const Ran missing = run({"run", project.file, "--in", "task=x", "--quiet", "--set",
                           "models={m: {provider: engine, weights: none.gguf}}"});
  CHECK(missing.code == 3);
  CHECK(missing.err.find("none.gguf") != std::string::npos);
}

TEST_CASE("cli: errors of models name the file and the keys that the user wrote") {
  const Project project;
  const auto says = [&](const std::string& models) {
    const Ran ran = run({"run", project.file, "--in", "task=x", "--quiet", "--set",
                         "models={m: {" + models + "}}"});
    CHECK(ran.code != 0);
    return ran.err;
  };
  test::write_file(project.dir.path() / "bad.json", "[]");
  CHECK(says("provider: scripted, script: bad.json").find("models.m: ") != std::string::npos);
  CHECK(says("provider: scripted, script: bad.json").find("bad.json: expected {\"replies\"") !=
        std::string::npos);
  const std::string context =
      says("provider: engine, weights: \"synth:qwen3moe-tiny:F32:2\", context: 10000000");
  CHECK(context.find("models.m.context: expected at most") != std::string::npos);
  CHECK(context.find("context_max") == std::string::npos);
}

TEST_CASE("cli: an agent that no task uses is named, and its model is not opened") {
  const Project project;
  std::string text = test::read_file(project.file);
  text.replace(text.find("models: {"), 9, "models: {none: {provider: engine, weights: no.gguf}, ");
  text.replace(text.find("agents: {"), 9, "agents: {Spare: {model: none}, ");
  text.replace(text.find("A: {instr"), 4, "A: {model: fake, ");
  text.replace(text.find("B: {instr"), 4, "B: {model: fake, ");
  text.replace(text.find("manager: {}"), 11, "manager: {model: fake}");
  test::write_file(project.file, text);
  const Ran ran = run({"run", project.file, "--in", "task=x", "--quiet"});
  CAPTURE(ran.err);
  CHECK(ran.code == 0);
  CHECK(run({"validate", project.file}).out.find(
            "swarm.yaml:6:10: warning: agents.Spare: no task uses it\n    6 | agents: {Spare: ") !=
        std::string::npos);
  const Json said = parse_json(run({"validate", project.file, "--json"}).out).value();
  CHECK(said["unused_agents"] == Json::array({"Spare"}));
  CHECK(said["unused_inputs"] == Json::array());
}

TEST_CASE("cli: validate shows where an input is declared that nothing reads") {
  const Project project;
  std::string text = test::read_file(project.file);
  text.replace(text.find("inputs: {"), 9, "inputs: {tsak: {default: x}, ");
  test::write_file(project.file, text);
  const Ran ran = run({"validate", project.file});
  CHECK(ran.code == 0);
  CHECK(ran.out.find("swarm.yaml:4:10: warning: inputs.tsak: nothing reads it\n"
                     "    4 | inputs: {tsak: ") != std::string::npos);
  const Json said = parse_json(run({"validate", project.file, "--json"}).out).value();
  CHECK(said["unused_inputs"] == Json::array({"tsak"}));
}

TEST_CASE("cli: a dry run prints the plan and leaves no trace") {
  const Project project;
  const Ran ran = run({"run", project.file, "--in", "task=x", "--dry-run", "--json"});
  CHECK(ran.code == 0);
  CHECK(parse_json(ran.out).value()["tasks"][0]["target"] == "t");
  CHECK(!std::filesystem::exists(project.runs));
}

TEST_CASE("cli: runs and graph read the journal") {
  const Project project;
  REQUIRE(run({"run", project.file, "--in", "task=x", "--run-id", "r1", "--quiet"}).code == 0);
  const Ran list = run({"runs", "list", "--dir", project.runs, "--json"});
  CHECK(lines(list.out).at(0)["run"] == "r1");
  CHECK(lines(list.out).at(0)["outcome"] == "complete");
  const Ran show = run({"runs", "show", "r1", "--dir", project.runs});
  CHECK(show.out.find("\nusage: model_calls=") != std::string::npos);
  CHECK(show.out.find("A->B") != std::string::npos);
  CHECK(run({"runs", "show", "r2", "--dir", project.runs}).code == 2);
  const Ran graph = run({"graph", "r1", "--dir", project.runs, "--format", "json"});
  CHECK(parse_json(graph.out).value()["graphs"][0]["edges"] ==
        Json::parse(R"([{"from":"A","to":"B","score":1.0}])"));
  CHECK(run({"graph", "r1", "--dir", project.runs}).out.find("g0_A -->|1.0| g0_B") !=
        std::string::npos);
  CHECK(run({"graph", project.file, "--format", "dot"}).out.find("\"1/A\"") != std::string::npos);
  std::string text = test::read_file(project.file);
  text.replace(text.find("name: pair"), 10, "name: 'a \"pair\"'");
  test::write_file(project.file, text);
  CHECK(run({"graph", project.file}).out.find("[\"a #quot;pair#quot;\"]") != std::string::npos);
  CHECK(run({"graph", project.file, "--format", "dot"}).out.find("label=\"a \\\"pair\\\"\"") !=
        std::string::npos);
}

TEST_CASE("cli: validate needs no inputs; mistakes are exit code 2 and counted") {
  const Project project;
  CHECK(run({"validate", project.file}).code == 0);
  const Ran bad = run({"validate", project.file, "--set", "agents.A.modle=x"});
  CHECK(bad.code == 2);
  CHECK(bad.err.find("did you mean \"model\"?") != std::string::npos);
  CHECK(bad.err.find("1 error; nothing was started") != std::string::npos);
}

TEST_CASE("cli: with --json an error is one object on stdout, and text on stderr") {
  const Project project;
  const std::string set = "agents={A: {modle: x, max_turns: 0}}";
  for (const char* command : {"run", "validate"}) {
    CAPTURE(command);
    const Ran ran = run({command, project.file, "--in", "task=x", "--set", set, "--json"});
    CHECK(ran.code == 2);
    CHECK(ran.err.find("nothing was started") != std::string::npos);
    REQUIRE(lines(ran.out).size() == 1);
    const Json result = lines(ran.out)[0];
    CHECK(result["exit_code"] == 2);
    REQUIRE(result["errors"].size() >= 2);
    CHECK(result["errors"][0]["kind"] == "invalid_input");
  }
  test::write_file(project.file, "schema: swarm/v1\nfrob: 1\n");
  const Json located = lines(run({"validate", project.file, "--json"}).out).at(0)["errors"];
  CHECK(located[0]["file"] == project.file);
  CHECK(located.back() == Json({{"file", project.file}, {"line", 2}, {"column", 1},
                            {"message", "frob: unknown key; known here: schema, name, description, "
                                        "inputs, models, engine, mcp, mcp_files, mcpServers, "
                                        "tools, policy, agents, topologies, graph, outputs, "
                                        "limits, journal"},
                            {"kind", "invalid_input"}}));
}

TEST_CASE("cli: missing files, runs and wrong flags are objects too; nothing else is printed") {
  const auto only = [](const Ran& ran) {
    CHECK(!ran.err.empty());
    REQUIRE(lines(ran.out).size() == 1);
    const Json result = lines(ran.out)[0];
    REQUIRE(result["errors"].size() == 1);
    CHECK(result["exit_code"] == ran.code);
    return result["errors"][0];
  };
  const Json missing = only(run({"run", "/nonexistent.yaml", "--json"}));
  CHECK(missing["kind"] == "environment");
  CHECK(missing["file"] == "/nonexistent.yaml");
  CHECK(missing["line"].is_null());
  CHECK(only(run({"run", "x.yaml", "--in", "task", "--json"}))["kind"] == "invalid_input");
  CHECK(only(run({"runs", "show", "r", "--dir", "/nonexistent", "--json"}))["file"].is_null());
  CHECK(only(run({"run", "x.yaml", "--bogus", "--json"}))["message"].get<std::string>().find(
            "--bogus") != std::string::npos);
  const Project project;
  REQUIRE(run({"run", project.file, "--in", "task=x", "--run-id", "r1", "--json"}).code == 0);
  CHECK(only(run({"run", project.file, "--in", "task=x", "--run-id", "r1", "--json"}))["message"] ==
        "run \"r1\" exists already");
  const Ran graph = run({"graph", "none.yaml", "--dir", project.runs, "--format", "json"});
  const Json neither = only(graph);
  CHECK(graph.code == 3);  // as "run" of a missing file
  CHECK(neither["kind"] == "environment");
  CHECK(neither["message"] ==
        "\"none.yaml\" is neither a file nor a run in \"" + project.runs + "\"");
  const std::string near = run({"graph", "r2", "--dir", project.runs}).err;
  CHECK(near.find("did you mean \"r1\"?") != std::string::npos);
}

TEST_CASE("cli: what failed is said once, and a single agent has no rounds") {
  const Project project;
  const Ran failed = run({"run", project.file, "--in", "task=x", "--quiet", "--set",
                          "mcp={shop: {command: [/nonexistent/shop], required: true}}"});
  CHECK(failed.code == 3);
  CHECK(failed.err.find("run failed: ") == 0);  // not after warnings about unused replies
  CHECK(failed.err.find("failed: failed") == std::string::npos);
  CHECK(failed.err.find("shop") != std::string::npos);
  const Ran without = run({"run", project.file, "--in", "task=x", "--quiet", "--set",
                           "mcp={shop: {command: [/nonexistent/shop]}}"});
  CHECK(without.code == 0);
  CHECK(without.err.find("without the tools of server shop: mcp server \"shop\": program") !=
        std::string::npos);
  const Ran alone = run({"run", project.file, "--in", "task=x", "--quiet", "--set",
                         "topologies={}", "--set", "agents={A: {}}"});
  CHECK(alone.code == 0);
  CHECK(alone.err.find("succeeded\n  1 model call, 0 tool calls, ") != std::string::npos);
  CHECK(alone.err.find("a step was not used") != std::string::npos);  // a success tells
  CHECK(run({"validate", project.file}).out.find("2 agents, 1 topology, 1 task\n") !=
        std::string::npos);
}

TEST_CASE("cli: runs list tells an unknown directory from one without runs") {
  const Ran missing = run({"runs", "list", "--dir", "/nonexistent"});
  CHECK(missing.code == 3);
  CHECK(missing.err.find("/nonexistent") != std::string::npos);
  const test::TempDir dir;
  const Ran empty = run({"runs", "list", "--dir", dir.path().string()});
  CHECK(empty.code == 0);
  CHECK(empty.out.empty());
}

TEST_CASE("cli: schema prints JSON Schema") {
  const Json schema = parse_json(run({"schema"}).out).value();
  CHECK(schema["properties"]["agents"].is_object());
}

TEST_CASE("cli: validate counts tool definitions with the model's tokenizer, if it is at hand") {
  test::TempDir dir;
  const std::string demo =
      std::filesystem::absolute("examples/demo-model/demo-model.gguf").string();
  const auto costs = [&](const std::string& model) {
    test::write_file(dir.path() / "s.yaml", "schema: swarm/v1\nmodels: {m: " + model +
                                                "}\nagents: {A: {tools: [t]}}\n"
                                                "tools: {t: {script: [x], description: d}}\n"
                                                "graph: {a: {agent: A, in: x}}\n");
    const Ran ran = run({"validate", (dir.path() / "s.yaml").string(), "--json"});
    CAPTURE(ran.err);
    REQUIRE(ran.code == 0);
    return parse_json(ran.out).value()["tools"][0];
  };
  const std::string text = "{\"type\": \"function\", \"function\": {\"name\": \"t\", "
                           "\"description\": \"d\", \"parameters\": {\"type\": \"object\"}}}\n";
  const Ran ids = run({"tokenize", "--model", demo, text});
  const Json counted = costs("{provider: engine, weights: " + demo + "}");
  CHECK(counted["exact"] == true);
  CHECK(counted["tokens"] == parse_json(ids.out).value()["ids"].size());
  const Json estimated = costs("{provider: engine, weights: no-such-file.gguf}");
  CHECK(estimated["exact"] == false);
  CHECK(estimated["tokens"] == (text.size() + 3) / 4);
  CHECK(run({"validate", (dir.path() / "s.yaml").string()}).out.find("estimated") !=
        std::string::npos);
}
