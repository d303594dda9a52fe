// Bad input through the real program: exit code, message, time, and a journal that lost nothing.
#include <doctest/doctest.h>

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <sstream>

#include "engine/base/json.h"
#include "orchestrator/run/journal.h"
#include "tests/support/process.h"
#include "tests/support/support.h"

using namespace swarm;

namespace {

test::Finished swarm_says(std::vector<std::string> arguments,
                          std::function<void(pid_t)> meanwhile = {}) {
  arguments.insert(arguments.begin(), SWARM_PROGRAM);
  test::ProcessOptions options;
  options.limit = std::chrono::seconds(20);
  options.while_running = std::move(meanwhile);
  test::Finished finished = test::run_process(arguments, options);
  CHECK(!finished.timed_out);
  return finished;
}

bool has(const std::string& text, const std::string& part) {
  return text.find(part) != std::string::npos;
}

// Until the file holds the text; bounded.
void wait_for(const std::string& file, const std::string& text) {
  for (int i = 0; i < 500; ++i) {
    if (std::filesystem::exists(file) && has(test::read_file(file), text)) return;
    ::poll(nullptr, 0, 20);
  }
}

// One agent with a scripted model that calls one tool of the hostile server.
struct Desk {
  test::TempDir dir;
  std::string file = (dir.path() / "swarm.yaml").string();
  std::string journal = (dir.path() / "runs/r/journal.jsonl").string();

  explicit Desk(const std::string& tool, const std::string& command, const std::string& wait = "1s",
                const std::string& model = "provider: scripted, script: s.json") {
    test::write_file(dir.path() / "s.json",
                     R"({"replies": [{"tool_calls": [{"name": "bad__)" + tool +
                         R"(", "arguments": {}}]}, {"content": "went on"}]})");
    test::write_file(file, "schema: swarm/v1\nname: one\ninputs: {task: {required: true}}\n"
                           "models: {m: {" + model + "}}\nmcp: {bad: {command: [" + command +
                           "], call_timeout: " + wait + ", start_timeout: 2s}}\n"
                           "policy: {allow: [bad/*]}\n"
                           "agents: {A: {tools: [bad/*]}}\njournal: {dir: " +
                           (dir.path() / "runs").string() + "}\n");
  }

  test::Finished start(std::function<void(pid_t)> meanwhile = {},
                       const std::vector<std::string>& more = {}) const {
    std::vector<std::string> arguments{"run", file, "--in", "task=x", "--run-id", "r", "--json"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return swarm_says(std::move(arguments), std::move(meanwhile));
  }

  // Whole, sums right, begun and ended; as many results as calls.
  void check_journal(const std::string& outcome) const {
    const auto content = run::read_journal(journal);
    REQUIRE(content.has_value());
    CHECK(!content->torn);
    CHECK(content->events.front().type == "run.start");
    CHECK(content->events.back().type == "run.end");
    CHECK(content->events.back().data["outcome"] == outcome);
    int open = 0;
    for (const run::Event& event : content->events)
      open += (event.type == "tool.call" ? 1 : 0) - (event.type == "tool.result" ? 1 : 0);
    CHECK(open == 0);
  }
};

const std::string kServer = MCP_FIXTURE_SERVER;

}  // namespace

// A file that is cut anywhere is refused as broken (3). A flipped bit may be harmless (0), break
// the file (3), name what this build does not have (2, kind unsupported) or spoil the numbers (1).
TEST_CASE("bad input: damaged model files are refused or read, never a crash") {
  const test::TempDir dir;
  const std::string whole = test::read_file("examples/demo-model/demo-model.gguf");
  const std::string file = (dir.path() / "m.gguf").string();
  const auto generate = [&] {
    return swarm_says({"generate", "--model", file, "--prompt", "x", "--max-tokens", "1",
                       "--json"});
  };
  for (const size_t size : {size_t{0}, size_t{3}, size_t{23}, size_t{1000}, size_t{12000},
                            whole.size() / 8, whole.size() / 2, whole.size() - 1}) {
    CAPTURE(size);
    test::write_file(file, whole.substr(0, size));
    const auto cut = generate();
    CHECK(cut.code == 3);
    CHECK(has(cut.err, "m.gguf"));
  }
  // Header, keys, vocabulary, template, tensor table; then weights.
  const size_t weights = whole.size() / 20;
  for (size_t i = 0; i < 30; ++i) {
    const size_t at = i < 20 ? i * i * weights / 400 : weights + (i - 20) * (whole.size() / 11);
    CAPTURE(at);
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ (1 << (i % 8)));
    test::write_file(file, flipped);
    const auto bit = generate();
    CHECK((bit.code == 0 || bit.code == 1 || bit.code == 2 || bit.code == 3));
    const auto said = parse_json(bit.out);
    REQUIRE(said.has_value());
    if (bit.code == 2) CHECK(said->at("errors").at(0).at("kind") == "unsupported");
    if (bit.code == 3) CHECK(said->at("errors").at(0).at("kind") == "environment");
  }
}

TEST_CASE("bad input: output that cannot be written is exit code 3, not success") {
  for (const char* command : {"schema", "logits --model synth:qwen3-tiny:F32:1 --tokens 1"}) {
    CAPTURE(std::string(command));
    const auto ran = test::run_process(
        {"/bin/sh", "-c", std::string(SWARM_PROGRAM) + " " + command + " > /dev/full"});
    CHECK(ran.code == 3);
    CHECK(has(ran.err, "cannot write the output"));
  }
}

TEST_CASE("bad input: a reader that leaves early is no error") {
  const auto ran = test::run_process(
      {"/bin/sh", "-c",
       "{ " + std::string(SWARM_PROGRAM) + " schema; echo $? >&2; } | head -c 10 > /dev/null"});
  CHECK(ran.err == "0\n");
}

TEST_CASE("bad input: wrong options of a command are named, not taken for a command") {
  const std::string model = "examples/demo-model/demo-model.gguf";
  const auto none = swarm_says({"generate", "--model", model});
  CHECK(none.code == 2);
  CHECK(has(none.err, "--prompt"));
  CHECK(!has(none.err, "unknown command"));
  const auto count = swarm_says({"generate", "--model", model, "--prompt", "x", "--count", "0"});
  CHECK(count.code == 2);
  CHECK(has(count.err, "--count"));
  const auto length = swarm_says({"bench", "--model", "synth:qwen3-tiny:F32:1", "-p", "-5"});
  CHECK(length.code == 2);
  CHECK(has(length.err, "-p"));
}

TEST_CASE("bad input: Ctrl-C ends a measurement at once") {
  const auto ran = swarm_says({"bench", "--model", "synth:qwen3-tiny:F32:1", "-p", "0", "-n",
                               "1000", "--repetitions", "1000"},
                              [](pid_t pid) {
                                ::poll(nullptr, 0, 1500);
                                ::kill(pid, SIGINT);
                              });
  CHECK(ran.code == 130);
  CHECK(ran.wall < std::chrono::seconds(10));
}

TEST_CASE("bad input: a missing model ends the run with exit code 3 and a whole journal") {
  const Desk desk("echo", kServer + ", normal", "1s", "provider: engine, weights: none.gguf");
  const auto ran = desk.start();
  CHECK(ran.code == 3);
  CHECK(has(ran.out, "none.gguf"));
  desk.check_journal("failed");
}

TEST_CASE("bad input: a prompt longer than the context is invalid input") {
  const auto ran = swarm_says({"generate", "--model", "examples/demo-model/demo-model.gguf",
                               "--prompt", std::string(9000, '7'), "--max-tokens", "4"});
  CHECK(ran.code == 2);
  CHECK(has(ran.err, "context"));
  const test::TempDir dir;
  const std::string schema = (dir.path() / "s.json").string();
  test::write_file(schema, R"({"type": "object", "properties": {"a": {"type": "string"}},
                               "required": ["a"], "additionalProperties": false})");
  const std::string reason = "prompt: expected at most 2047 tokens for a context of 2048, found ";
  const auto bound = swarm_says({"generate", "--model", "examples/demo-model/demo-model.gguf",
                                 "--prompt", std::string(9000, '7'), "--json-schema", schema});
  CHECK(bound.code == 2);
  CHECK(has(bound.err, reason));
  // Inside a run prompts grow while it lasts: a failed agent, and a failed run (1).
  const auto run = swarm_says({"run", "examples/price-desk/price-desk.yaml", "--in",
                               "task=" + std::string(9000, '7'), "--set",
                               "journal.dir=" + dir.path().string()});
  CHECK(run.code == 1);
  CHECK(has(run.err, reason));
}

TEST_CASE("bad input: a tool that hangs or dies is an answer, and the run goes on") {
  for (const char* tool : {"hang", "die"}) {
    CAPTURE(tool);
    const Desk desk(tool, kServer + ", normal");
    const auto ran = desk.start();
    CHECK(ran.code == 0);
    std::istringstream out(ran.out);
    for (std::string line; std::getline(out, line);) CHECK(parse_json(line).has_value());
    CHECK(has(ran.out, std::string(tool) == "hang" ? "no answer" : "exit code 7"));
    desk.check_journal("succeeded");
  }
}

TEST_CASE("bad input: a required server that cannot start is exit code 3, another is a state") {
  for (const std::string& line : {std::string("/nonexistent/server"), kServer + ", silent",
                                  kServer + ", exit_on_initialize"}) {
    CAPTURE(line);
    const Desk required("echo", line);
    const auto ended = required.start({}, {"--set", "mcp.bad.required=true"});
    CHECK(ended.code == 3);
    required.check_journal("failed");
    const Desk desk("echo", line);
    const auto ran = desk.start();
    CHECK(ran.code == 0);
    desk.check_journal("succeeded");
    CHECK(has(test::read_file(desk.journal), R"("state":"failed")"));
  }
}

TEST_CASE("bad input: an interrupt ends a run with 130, a whole journal and no process left") {
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
    CAPTURE(signal);
    const std::string mark = "interrupt-mark-" + std::to_string(::getpid());
    const Desk desk("hang", kServer + ", normal, " + mark, "60s");
    const auto ran = desk.start([&](pid_t pid) {
      wait_for(desk.journal, "\"tool.call\"");
      ::kill(pid, signal);
    });
    CHECK(ran.code == 130);
    CHECK(test::processes_mentioning(mark).empty());
    const auto content = run::read_journal(desk.journal);
    REQUIRE(content.has_value());
    CHECK(content->events.back().type == "run.end");
    CHECK(has(test::read_file(desk.journal), "\"tool.call\""));  // it was in the middle of a call
  }
}

TEST_CASE("bad input: under nohup a run outlives its terminal") {
  const Desk desk("hang", kServer + ", normal", "2s");
  test::ProcessOptions options;
  options.limit = std::chrono::seconds(20);
  options.while_running = [&](pid_t pid) {
    wait_for(desk.journal, "\"tool.call\"");
    ::kill(pid, SIGHUP);
  };
  const auto ran = test::run_process(
      {"/bin/sh", "-c", "trap '' HUP; exec \"$0\" run \"$1\" --in task=x --run-id r --json",
       SWARM_PROGRAM, desk.file},
      options);
  CHECK(ran.code == 0);
  desk.check_journal("succeeded");
}

TEST_CASE("bad input: an interrupt while a model is written leaves no file") {
  const test::TempDir dir;
  const std::string out = (dir.path() / "big.gguf").string();
  const auto interrupt = [&](pid_t pid) {
    for (int i = 0; i < 500 && std::filesystem::is_empty(dir.path()); ++i)
      ::poll(nullptr, 0, 10);
    CHECK(!std::filesystem::is_empty(dir.path()));
    ::kill(pid, SIGINT);
  };
  const auto ran = swarm_says({"model", "synth", out, "--preset", "qwen3-30b-a3b", "--layers", "4"},
                              interrupt);
  CHECK(ran.code == 130);
  CHECK(std::filesystem::is_empty(dir.path()));
}

TEST_CASE("bad input: an interrupt while weights are made ends the run with 130") {
  // Several seconds of work; the run is interrupted at its first line.
  const Desk desk("echo", kServer + ", normal", "1s",
                  "provider: engine, weights: \"synth:qwen3-30b-a3b:Q4_K_M:4\"");
  const auto ran = desk.start([&](pid_t pid) {
    wait_for(desk.journal, "\"run.start\"");
    ::kill(pid, SIGINT);
  });
  CHECK(ran.code == 130);
  desk.check_journal("cancelled");
  CHECK(!has(test::read_file(desk.journal), "\"mcp.start\""));
}

TEST_CASE("bad input: an interrupt in the middle of a decode ends the run with 130") {
  const test::TempDir dir;
  const std::string file = (dir.path() / "swarm.yaml").string();
  const std::string journal = (dir.path() / "runs/r/journal.jsonl").string();
  test::write_file(file, "schema: swarm/v1\ninputs: {task: {required: true}}\n"
                         "models: {m: {provider: engine, weights: \"synth:qwen3moe-tiny:F32\", "
                         "sampling: {temperature: 2}}}\n"
                         "agents:\n  A: {max_tokens: 1000000, output: {type: array, "
                         "minItems: 2000, items: {type: boolean}}}\njournal: {dir: " +
                             (dir.path() / "runs").string() + "}\n");
  const auto ran = swarm_says({"run", file, "--in", "task=x", "--run-id", "r"}, [&](pid_t pid) {
    wait_for(journal, "\"model.call\"");
    ::poll(nullptr, 0, 100);  // into the decode; earlier is not wrong
    ::kill(pid, SIGINT);
  });
  CHECK(ran.code == 130);
  CHECK(has(ran.err, "run cancelled"));
  const auto content = run::read_journal(journal);
  REQUIRE(content.has_value());
  CHECK(content->events.back().data["outcome"] == "cancelled");
  CHECK(content->events.back().data["usage"]["prompt_tokens"] > 0);  // what it used is counted
  CHECK(!has(test::read_file(journal), "\"model.reply\""));
}

TEST_CASE("bad input: a missing input and text that is not UTF-8 start nothing") {
  const test::TempDir dir;
  const Desk desk("echo", kServer + ", normal");
  const auto missing = swarm_says({"run", desk.file});
  CHECK(missing.code == 2);
  CHECK(has(missing.err, "required input is missing; say --in task="));
  const auto input = swarm_says({"run", desk.file, "--in", "task=caf\xe9"});
  CHECK(input.code == 2);
  CHECK(has(input.err, "expected UTF-8 text, found the byte 0xe9 at position 9"));
  const std::string latin = (dir.path() / "latin.yaml").string();
  test::write_file(latin, "schema: swarm/v1\nname: caf\xe9\n");
  const auto file = swarm_says({"run", latin, "--json"});
  CHECK(file.code == 2);
  CHECK(has(file.err, "latin.yaml:2:10: error: expected UTF-8 text, found the byte 0xe9"));
  const Json error = parse_json(file.out).value()["errors"][0];
  CHECK(error["line"] == 2);
  CHECK(error["column"] == 10);
  CHECK(!std::filesystem::exists(dir.path() / "runs"));
}

TEST_CASE("bad input: wrong flags, keys and files have the right exit code") {
  const test::TempDir dir;
  const std::string empty = (dir.path() / "empty.yaml").string();
  test::write_file(empty, "");
  const std::string desk = "examples/price-desk/price-desk.yaml";
  CHECK(swarm_says({"run", desk, "--bogus"}).code == 2);
  CHECK(swarm_says({"run", empty}).code == 2);
  CHECK(swarm_says({"run", dir.path().string()}).code == 3);
  CHECK(swarm_says({"run", "none.yaml"}).code == 3);
  const auto path = swarm_says({"run", desk, "--set", "topologies.desk.match.taus=1"});
  CHECK(path.code == 2);
  CHECK(has(path.err, "did you mean \"tau\""));
}

TEST_CASE("bad input: ten kinds of mistakes in one file are all reported, nothing is started") {
  const test::TempDir dir;
  const std::string file = (dir.path() / "ten.yaml").string();
  const std::string runs = (dir.path() / "runs").string();
  test::write_file(file, R"(schema: swarm/v1
frob: 1
models: {m: {provider: engin}}
mcp: {s: {command: x}}
agents:
  A: {model: nope, tools: [calculatr], max_turns: 0, timeout: soon}
  A: {}
topologies:
  t: {members: [A, Zed]}
graph:
  g: {topology: tt, after: [h], in: "${inputs.nope}"}
  h: {topology: t, in: x, after: [g]}
journal: {dir: )" + runs + "}\n");
  const auto ran = swarm_says({"run", file});
  CHECK(ran.code == 2);
  CHECK(ran.out.empty());
  for (const char* place : {"2:1: error", "3:24: error", "4:20: error", "6:14: error",
                            "6:28: error", "6:51: error", "6:63: error", "7:3: error",
                            "9:20: error", "11:17: error", "11:37: error", "12:34: error"}) {
    CAPTURE(place);
    CAPTURE(ran.err);
    CHECK(has(ran.err, std::string("ten.yaml:") + place));
  }
  CHECK(has(ran.err, "did you mean \"calculator\""));
  CHECK(has(ran.err, "nothing was started"));
  CHECK(!std::filesystem::exists(runs));
}
