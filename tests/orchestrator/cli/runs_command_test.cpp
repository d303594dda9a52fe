// What people see of a run afterwards: summaries, lists, events and graphs; texts of models and
// tools in them are hostile.
#include <doctest/doctest.h>

#include <algorithm>
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

// Clears the screen; the second one as some terminals know it, in one character.
const std::string kClear = "\x1b[2J\xc2\x9b" "2J";

// Swarms of one directory; their replies are scripted.
struct Desk {
  test::TempDir dir;
  std::string runs = (dir.path() / "runs").string();

  std::string file(const std::string& body, const Json& replies) const {
    test::write_file(dir.path() / "script.json", dump_json({{"replies", replies}}));
    const std::string out = (dir.path() / "swarm.yaml").string();
    test::write_file(out, "schema: swarm/v1\nname: desk\n"
                          "models: {fake: {provider: scripted, script: script.json}}\n" + body +
                              "journal: {dir: " + runs + "}\n");
    return out;
  }
  Ran show(const std::string& id) const { return run({"runs", "show", id, "--dir", runs}); }
  Ran list() const { return run({"runs", "list", "--dir", runs}); }
  Ran graph(const std::string& id) const { return run({"graph", id, "--dir", runs}); }
};

bool obeyed(const std::string& text) {
  return text.find('\x1b') != std::string::npos || text.find("\xc2\x9b") != std::string::npos;
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> out;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) out.push_back(line);
  return out;
}

const char* const kAgent = "agents: {A: {}}\ngraph: {a: {agent: A, in: x}}\n";

}  // namespace

TEST_CASE("cli: a tool's text in \"run failed\" never moves the cursor") {
  const Desk desk;
  const std::string file = desk.file(
      "tools: {t: {script: [/bin/sh, -c, \"printf 'no\\\\033[2J' >&2; exit 1\"], description: d, "
      "sandbox: off}}\npolicy: {allow: [t]}\nagents: {A: {}}\ngraph: {a: {tool: t}}\n",
      Json::array());
  const Ran ran = run({"run", file, "--run-id", "r", "--quiet"});
  CAPTURE(ran.err);
  CHECK(ran.code == 1);
  CHECK(ran.err.find("run failed: ") == 0);
  CHECK(ran.err.find("no\\x1b[2J") != std::string::npos);
  CHECK(!obeyed(ran.err));
  CHECK(!obeyed(desk.show("r").out));
}

TEST_CASE("cli: a model's text in \"best so far\" never moves the cursor") {
  const Desk desk;
  const std::string file = desk.file(
      "agents: {B: {instructions: b}}\n"
      "topologies: {t: {members: [B], manager: {}, rounds: {max: 1}, answer: [B]}}\n"
      "graph: {a: {topology: t, in: x}}\n",
      Json::array({{{"label", "B"},
                    {"content", {{"public", "q"}, {"private", ""}, {"answer", "4" + kClear + "2"},
                                 {"query", ""}, {"key", ""}}}},
                   {{"label", "Manager"},
                    {"content", {{"status", "s"}, {"is_complete", false}, {"next_goal", ""},
                                 {"answer_from", "B"}}}}}));
  const Ran ran = run({"run", file, "--run-id", "r", "--quiet"});
  CAPTURE(ran.err);
  CHECK(ran.code == 1);
  CHECK(ran.err.find("best so far: 4\\x1b[2J\\x9b2J2\n") != std::string::npos);
  CHECK(!obeyed(ran.err));
}

TEST_CASE("cli: an answer is whole in a pipe; in lists it is visible and on one line") {
  const Desk desk;
  const std::string answer = "one\ntwo" + kClear + "\n" + std::string(300, 'x');
  const std::string file = desk.file(kAgent, Json::array({{{"content", answer}}}));
  const Ran ran = run({"run", file, "--run-id", "r", "--quiet"});
  CHECK(ran.code == 0);
  CHECK(ran.out == answer + "\n");
  const Ran list = desk.list();
  CHECK(!obeyed(list.out));
  CHECK(lines_of(list.out).size() == 1);
  CHECK(list.out.find("  succeeded  one two\\x1b[2J\\x9b2J x") != std::string::npos);
  CHECK(list.out.find("x ...\n") != std::string::npos);
  const Ran show = desk.show("r");
  CHECK(!obeyed(show.out));
  CHECK(show.out.find("answer one\ntwo\\x1b[2J") != std::string::npos);
}

TEST_CASE("cli: runs show tells the task, the words, the arguments, the rule and the server") {
  const Desk desk;
  const std::string file = desk.file(
      "mcp: {shop: {command: [/nonexistent/shop]}}\n"
      "tools: {note: {script: [/bin/cat], description: d, sandbox: off}}\n"
      "policy: {allow: [note]}\nagents: {A: {tools: [note]}}\n"
      "graph: {first: {agent: A, in: x}}\n",
      Json::array({{{"tool_calls", {{{"name", "note"}, {"arguments", {{"n", 7}}}}}}},
                   {{"content", "all\nwritten " + std::string(300, 'x')}}}));
  REQUIRE(run({"run", file, "--run-id", "r", "--quiet"}).code == 0);
  const Ran show = desk.show("r");
  CAPTURE(show.out);
  const auto line = [&](const std::string& type, const std::string& words) {
    const std::vector<std::string> all = lines_of(show.out);
    return std::any_of(all.begin(), all.end(), [&](const std::string& one) {
      return one.find("  " + type + " ") != std::string::npos &&
             one.find(words) != std::string::npos;
    });
  };
  CHECK(line("task.start", "task=\"first\""));
  CHECK(line("tool.call", "tool=\"note\" arguments={\"n\":7}"));
  CHECK(line("tool.policy", "allowed=true rule=\"allow note\""));
  CHECK(line("model.reply", "task=\"first\" agent=\"A\" turn=2 content=\"all\\nwritten xx"));
  CHECK(line("model.reply", "xx ...\""));
  CHECK(line("mcp.state", "server=\"shop\" state=\"failed\" reason="));
  CHECK(show.out.find(std::string(250, 'x')) == show.out.find(std::string(300, 'x')));
}

TEST_CASE("cli: the graph of a run without rounds is that of its tasks") {
  const Desk desk;
  const std::string file = desk.file(
      "agents: {A: {}}\ngraph: {a: {agent: A, in: x}, b: {agent: A, in: y, after: [a]}, "
      "c: {agent: A, in: z, after: [a, b]}}\n",
      Json::array({{{"content", "1"}}, {{"content", "2"}}, {{"content", "3"}}}));
  REQUIRE(run({"run", file, "--run-id", "r", "--quiet"}).code == 0);
  const std::string tasks =
      "flowchart LR\n  subgraph g0[\"desk\"]\n    g0_a[\"a\"]\n    g0_b[\"b\"]\n    g0_c[\"c\"]\n";
  const std::string drawn =
      tasks + "    g0_a --> g0_b\n    g0_a --> g0_c\n    g0_b --> g0_c\n  end\n";
  CHECK(desk.graph("r").out == drawn);
  CHECK(run({"graph", file}).out == drawn);
  std::filesystem::remove(desk.dir.path() / "runs/r/swarm.yaml");
  CHECK(desk.graph("r").out == tasks + "  end\n");  // the journal alone knows the order
}

TEST_CASE("cli: runs are listed by the time of their start, not by name") {
  const Desk desk;
  const std::string file = desk.file(kAgent, Json::array({{{"content", "1"}}}));
  for (const char* id : {"z", "a", "m"})
    REQUIRE(run({"run", file, "--run-id", id, "--quiet"}).code == 0);
  const std::vector<std::string> listed = lines_of(desk.list().out);
  REQUIRE(listed.size() == 3);
  CHECK(listed[0].find("z  ") == 0);
  CHECK(listed[1].find("a  ") == 0);
  CHECK(listed[2].find("m  ") == 0);
}
