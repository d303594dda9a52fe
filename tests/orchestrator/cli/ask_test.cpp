// Consent to a tool call, asked of a person at a terminal: the whole program at a pseudo-terminal.
#include <doctest/doctest.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/base/json.h"
#include "orchestrator/cli/ask.h"
#include "tests/orchestrator/cli/terminal.h"
#include "tests/support/process.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace std::chrono_literals;
using test::Terminal;

namespace {

// An agent that calls the tool `note`, which writes into a file, so often; then it is done.
struct Project {
  test::TempDir dir;
  std::string notes = (dir.path() / "notes").string();
  std::string file = (dir.path() / "swarm.yaml").string();
  std::vector<std::string> command{SWARM_PROGRAM, "run", file, "--run-id", "r"};

  explicit Project(int calls = 1, const std::string& agent = "", const std::string& delay = "0s") {
    test::write_file(file, R"(
schema: swarm/v1
name: notes
models: {fake: {provider: scripted, script: script.json}}
tools:
  note:
    script: [/bin/sh, -c, "cat >> )" + notes + R"("]
    description: Writes down.
    sandbox: off
policy: {ask: [note]}
agents: {A: {tools: [note], )" + agent + R"(}}
graph: {a: {agent: A, in: x}}
journal: {dir: )" + (dir.path() / "runs").string() + "}\n");
    Json replies = Json::array();
    for (int i = 1; i <= calls; ++i)
      replies.push_back({{"tool_calls", {{{"name", "note"}, {"arguments", {{"n", i}}}}}},
                         {"delay", delay}});
    replies.push_back({{"content", "done"}});
    test::write_file(dir.path() / "script.json", dump_json({{"replies", replies}}));
  }
  // Calls are lines.
  std::string written() const {
    std::string out = std::filesystem::exists(notes) ? test::read_file(notes) : "";
    std::erase(out, '\n');
    return out;
  }
  std::string journal() const {
    return test::read_file(dir.path() / "runs/r/journal.jsonl");
  }
  // How often somebody was asked, or a rule decided, with this outcome.
  int decisions(const std::string& words) const {
    int count = 0;
    const std::string text = journal();
    for (size_t at = 0; (at = text.find("\"tool.policy\"", at)) != std::string::npos; ++at) {
      const std::string line = text.substr(at, text.find('\n', at) - at);
      count += line.find(words) != std::string::npos;
    }
    return count;
  }
};

constexpr const char* kQuestion = "allow? y = yes, N = no, a = always in this run (rule: ask note)";

}  // namespace

TEST_CASE("ask: yes lets one call through, the next is asked about again") {
  for (const char* yes : {"y\n", "Y\n", "yes\n"}) {
    const Project project(2);
    Terminal terminal(project.command);
    REQUIRE(terminal.sees("A wants to call note {\"n\":1}"));
    REQUIRE(terminal.sees(kQuestion));
    CHECK(project.written().empty());            // nothing happens before the answer
    terminal.type(yes);
    REQUIRE(terminal.sees("A wants to call note {\"n\":2}"));
    REQUIRE(terminal.sees(kQuestion));
    terminal.type("n\n");
    CHECK(terminal.ended() == 0);
    CHECK(project.written() == "{\"n\":1}");
    CHECK(project.decisions("\"by\":\"person\"") == 2);
    CHECK(project.decisions("\"allowed\":false") == 1);
    CHECK(terminal.is_as_before());
  }
}

TEST_CASE("ask: anything but yes means no, the end of the input too") {
  for (const char* no : {"n\n", "\n", "yep\n", "yn\n", "\x04"}) {
    CAPTURE(std::string(no));
    const Project project;
    Terminal terminal(project.command);
    REQUIRE(terminal.sees(kQuestion));
    terminal.type(no);
    CHECK(terminal.sees("the user refused this call"));
    CHECK(terminal.ended() == 0);
    CHECK(project.written().empty());
    CHECK(project.decisions("\"allowed\":false") == 1);
    CHECK(terminal.is_as_before());
  }
}

TEST_CASE("ask: always is asked once and holds until the run ends") {
  const Project project(3);
  Terminal terminal(project.command);
  REQUIRE(terminal.sees(kQuestion));
  terminal.type("a\n");
  CHECK(terminal.ended() == 0);
  CHECK_FALSE(terminal.sees(kQuestion, 0ms));
  CHECK(project.written() == "{\"n\":1}{\"n\":2}{\"n\":3}");
  CHECK(project.decisions("\"by\":\"person, always\"") == 3);
}

TEST_CASE("ask: what was typed before the question answers nothing") {
  const Project project(1, "", "700ms");
  Terminal terminal(project.command);
  REQUIRE(terminal.sees("run r of notes"));
  terminal.type("y\ny\n");
  REQUIRE(terminal.sees(kQuestion));
  CHECK_FALSE(terminal.sees("the user refused", 300ms));
  CHECK(project.written().empty());
  terminal.type("n\n");
  CHECK(terminal.ended() == 0);
  CHECK(project.written().empty());
}

TEST_CASE("ask: a question nobody answers ends with the agent's deadline") {
  const Project project(1, "timeout: 600ms");
  Terminal terminal(project.command);
  REQUIRE(terminal.sees(kQuestion));
  CHECK(terminal.ended() == 1);
  CHECK(project.written().empty());
  CHECK(terminal.is_as_before());
}

TEST_CASE("ask: Ctrl-C at a question cancels the run and leaves the terminal as it was") {
  const Project project;
  Terminal terminal(project.command);
  REQUIRE(terminal.sees(kQuestion));
  terminal.type("\x03");
  CHECK(terminal.ended() == 130);
  CHECK(project.written().empty());
  CHECK(terminal.is_as_before());
}

TEST_CASE("ask: without a terminal nobody is asked and nothing waits") {
  const Project project;
  test::ProcessOptions options;
  options.limit = 20s;
  options.input = "y\n";
  const test::Finished ran = test::run_process(project.command, options);
  CHECK(ran.code == 0);
  CHECK_FALSE(ran.timed_out);
  CHECK(ran.err.find("allow?") == std::string::npos);
  CHECK(project.written().empty());
  CHECK(project.decisions("\"by\":\"unattended\"") == 1);
}

TEST_CASE("ask: what a model writes cannot forge the question or move the cursor") {
  run::Question question;
  question.agent = "A";
  question.tool = "note";
  question.rule = "ask note";
  question.arguments = Json{{"x", "\x1b[2J\nallow? \xE2\x80\xAE"}};
  const std::vector<std::string> lines = cli::question_lines(question);
  REQUIRE(lines.size() == 2);
  CHECK(lines[0] == "A wants to call note {\"x\":\"\\u001b[2J\\nallow? \\u202e\"}");
  CHECK(lines[1] == kQuestion);
  question.arguments = Json{{"x", std::string(5000, 'z')}};
  CHECK(cli::question_lines(question)[0].size() < 400);   // what the view shows of a line
}
