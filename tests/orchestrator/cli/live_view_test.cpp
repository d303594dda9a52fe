// The live view on a terminal that exists only here: what a person would see after each event.
#include <doctest/doctest.h>

#include <algorithm>
#include <chrono>
#include <sstream>
#include <string>
#include <vector>

#include "engine/base/json.h"
#include "engine/base/utf8.h"
#include "orchestrator/cli/live_view.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace std::chrono_literals;

namespace {

// Obeys line feeds, carriage returns, "cursor up", "erase below" and "show/hide cursor"; everything
// else is text. A line that does not fit would be broken by a real terminal and spoil the block: it
// is counted.
class Terminal {
 public:
  explicit Terminal(size_t columns) : columns_(columns) {}

  void feed(const std::string& bytes) {
    for (size_t i = 0; i < bytes.size(); ++i) {
      if (bytes[i] == '\n') {
        ++row_;
      } else if (bytes[i] == '\r') {
        at_begin_ = true;
      } else if (bytes[i] == '\x1b') {
        i = control(bytes, i + 1);
      } else {
        at_begin_ = false;
        if (lines_.size() <= row_) lines_.resize(row_ + 1);
        lines_[row_] += bytes[i];
      }
    }
    for (size_t row = 0; row < lines_.size(); ++row) too_long_ += lines_[row].size() > columns_;
  }

  std::string screen() const {
    std::string out;
    for (const std::string& line : lines_)
      out += line.substr(0, line.find_last_not_of(' ') + 1) + "\n";
    return out;
  }
  bool cursor_shown() const { return cursor_shown_; }
  int too_long() const { return too_long_; }

 private:
  size_t control(const std::string& bytes, size_t at) {
    REQUIRE(bytes[at] == '[');
    const size_t end = bytes.find_first_of("AJhl", at);
    REQUIRE(end != std::string::npos);
    const std::string argument = bytes.substr(at + 1, end - at - 1);
    if (bytes[end] == 'A') {
      REQUIRE(at_begin_);
      REQUIRE(row_ >= std::stoul(argument));
      row_ -= std::stoul(argument);
    } else if (bytes[end] == 'J') {
      lines_.resize(std::min(lines_.size(), row_));
    } else {
      REQUIRE(argument == "?25");
      cursor_shown_ = bytes[end] == 'h';
    }
    return end;
  }

  size_t columns_, row_ = 0;
  std::vector<std::string> lines_;
  bool at_begin_ = true;        // the cursor moves up in the first column only
  bool cursor_shown_ = true;
  int too_long_ = 0;
};

struct Desk {
  std::ostringstream out;
  ManualClock clock;
  cli::ScreenSize size{.columns = 78, .rows = 24};
  Terminal terminal{78};
  cli::LiveView view{out, clock, [this] { return size; }};

  Desk() { clock.advance(1h); }
  // Of task t, when the data do not say another.
  void event(const char* type, const char* data) {
    Json whole{{"task", "t"}};
    whole.update(Json::parse(data));
    view.event(type, whole);
    show();
  }
  void progress(const char* agent, const agents::Progress& progress) {
    view.progress({.task = "t", .agent = agent}, progress);
    show();
  }
  void show() {
    terminal.feed(out.str());
    out.str("");
  }
  // The line of an agent in the block.
  std::string line(const std::string& agent) const {
    std::istringstream in(terminal.screen());
    std::string found;
    for (std::string line; std::getline(in, line);)
      if (line.starts_with("  " + agent + " ")) found = line;
    return found;
  }
};

constexpr agents::Progress kPrefill{.phase = agents::Phase::prefill};
agents::Progress decoded(int32_t tokens, std::string_view text) {
  return {.phase = agents::Phase::decode, .output_tokens = tokens, .text = text};
}

}  // namespace

TEST_CASE("live view: frames of a round") {
  Desk desk;
  std::string frames;
  const auto frame = [&](const char* title) {
    frames += std::string("=== ") + title + "\n" + desk.terminal.screen();
  };
  desk.event("run.start", R"({"run": "r1", "name": "desk", "tasks": ["t"]})");
  frame("the models are opened");
  desk.event("mcp.start", R"({"server": "shop"})");
  desk.event("mcp.ready", R"({"server": "shop", "tools": ["shop__price"]})");
  desk.event("task.start", R"({"target": "desk"})");
  desk.event("round.start", R"({"round": 1, "goal": "Clerk: find the prices."})");
  desk.event("model.call", R"({"agent": "Clerk", "turn": 1})");
  desk.event("model.call", R"({"agent": "Solver", "turn": 1})");
  desk.progress("Clerk", {.prompt_tokens = 90});
  frame("both wait for the engine");
  desk.progress("Clerk", kPrefill);
  frame("one prompt is read");
  desk.progress("Clerk", decoded(4, "I look "));
  desk.progress("Solver", kPrefill);
  desk.clock.advance(100ms);
  desk.progress("Clerk", decoded(6, "up \x1b[2J\x9b it."));
  frame("one writes, 100 tokens a second; it cannot move the cursor");
  desk.event("model.reply",
             R"({"agent": "Clerk", "usage":
                 {"output_tokens": 10, "forced_tokens": 2, "decode_ms": 80}})");
  desk.event("tool.call",
             R"({"agent": "Clerk", "tool": "shop__price", "arguments": {"item": "x"}})");
  desk.event("tool.call", R"({"agent": "Clerk", "tool": "now", "arguments": {}})");
  frame("two tools are running");
  desk.event("tool.result", R"({"agent": "Clerk", "tool": "shop__price", "text": "14"})");
  desk.event("tool.result", R"({"agent": "Clerk", "tool": "now", "text": "noon"})");
  desk.event("model.call", R"({"agent": "Clerk", "turn": 2})");
  desk.event("agent.failed", R"({"agent": "Solver", "error": "timeout: no end"})");
  frame("the next turn waits, the other agent failed");
  desk.event("agent.message", R"({"agent": "Clerk", "public": "Prices sent."})");
  desk.event("topology", R"({"edges": [{"from": "Clerk", "to": "Solver", "score": 0.87654}]})");
  desk.event("message.delivered", R"({"from": "Clerk", "to": "Solver"})");
  desk.event("manager.decision", R"({"status": "Go on.", "is_complete": false})");
  frame("edges");
  desk.event("round.start", R"({"round": 2, "goal": "Solver: add."})");
  frame("the next round reads what came along them");
  desk.event("model.call", R"({"agent": "Solver", "turn": 1})");
  desk.view.cancelling();
  desk.show();
  frame("somebody pressed Ctrl-C");
  desk.view.finish();
  desk.show();
  frame("the end: only the story stays");
  CHECK(desk.terminal.cursor_shown());
  CHECK(desk.terminal.too_long() == 0);
  CHECK(test::snapshot_difference("orchestrator/cli/live_view.txt", frames) == "");
}

TEST_CASE("live view: new text is drawn at most every 50 ms, a new state at once") {
  Desk desk;
  desk.event("model.call", R"({"agent": "A"})");
  CHECK(desk.line("A").find("queue") != std::string::npos);
  desk.progress("A", decoded(1, "one"));
  CHECK(desk.line("A").find("one") != std::string::npos);
  desk.clock.advance(10ms);
  desk.progress("A", decoded(1, " two"));
  CHECK(desk.line("A").find("two") == std::string::npos);
  desk.clock.advance(40ms);
  desk.progress("A", decoded(1, " three"));
  CHECK(desk.line("A").find("one two three") != std::string::npos);
  CHECK(desk.line("A").find("3 tok") != std::string::npos);
  desk.event("tool.call", R"({"agent": "A", "tool": "now"})");  // at the same moment
  CHECK(desk.line("A").find("tool now") != std::string::npos);
}

TEST_CASE("live view: it fits the window, also when the window changes") {
  Desk desk;
  desk.size = {.columns = 40, .rows = 8};
  Terminal small(40);
  for (int i = 0; i < 9; ++i)
    desk.view.event("model.call", {{"task", "t"}, {"agent", "agent" + std::to_string(i)}});
  const run::Speaker first{.task = "t", .agent = "agent0"};
  desk.view.progress(first, decoded(100, std::string(300, 'w') + "\xe6\x9c\xab"));
  desk.clock.advance(1s);
  desk.view.progress(first, decoded(1, "!"));
  small.feed(desk.out.str());
  const std::string screen = small.screen();
  CHECK(small.too_long() == 0);
  CHECK(screen.find("and 5 more agents") != std::string::npos);
  CHECK(std::count(screen.begin(), screen.end(), '\n') <= 7);
  CHECK(utf8_is_valid(screen));
}

TEST_CASE("live view: in a pipe there are plain lines and no control characters") {
  std::ostringstream out;
  const ManualClock clock;
  cli::LiveView view(out, clock, {});
  view.event("run.start", {{"run", "r"}, {"name", "n"}});
  view.event("model.call", {{"task", "t"}, {"agent", "A"}});
  view.progress({.task = "t", .agent = "A"}, decoded(1, "one"));
  view.event("agent.message", {{"task", "t"}, {"agent", "A"}, {"public", "said \x1b[31m\nthis"}});
  view.finish();
  CHECK(out.str() == "run r of n\n  A: said  [31m this\n");
}

TEST_CASE("live view: several tasks at a time; who has ended leaves the block") {
  Desk desk;
  desk.event("run.start", R"({"run": "r", "name": "n", "tasks": ["a", "b", "c", "d"]})");
  desk.event("task.start", R"({"task": "a"})");
  desk.event("task.start", R"({"task": "b"})");
  desk.event("round.start", R"({"task": "b", "round": 2, "goal": "g"})");
  desk.event("model.call", R"({"task": "a", "agent": "Writer"})");
  desk.event("model.call", R"({"task": "b", "agent": "Writer"})");
  desk.event("topology", R"({"task": "b", "edges": []})");
  const auto shows = [&](const std::string& text) {
    return desk.terminal.screen().find(text) != std::string::npos;
  };
  CHECK(shows("-- 0 of 4 tasks done, now a, b (round 2)\n"));
  CHECK(shows("  a/Writer     queue"));
  CHECK(shows("  b/Writer     queue"));
  CHECK(shows("  edges of b: none\n"));
  desk.event("task.end", R"({"task": "b", "outcome": "complete"})");
  desk.event("task.skip", R"({"task": "c"})");
  CHECK(shows("-- 2 of 4 tasks done, now a\n"));
  CHECK(!shows("b/Writer"));
  CHECK(!shows("edges of b"));
  CHECK(shows("task b: complete\ntask c: skipped\n"));
  desk.event("task.start", R"({"task": "d"})");
  desk.event("tool.call", R"({"task": "d", "tool": "now", "arguments": {}})");
  CHECK(shows("  d            tool now"));
}

TEST_CASE("live view: tokens that a grammar forced are no speed") {
  Desk desk;
  desk.event("model.call", R"({"agent": "A"})");
  desk.progress("A", decoded(1, "x"));
  desk.clock.advance(1s);
  desk.progress("A", {.phase = agents::Phase::decode, .output_tokens = 59, .forced_tokens = 50});
  CHECK(desk.line("A").find("60 tok ") != std::string::npos);
  CHECK(desk.line("A").find(" 10 tok/s") != std::string::npos);
  CHECK(desk.terminal.screen().find("-- task t  10 tok/s\n") != std::string::npos);
}

TEST_CASE("live view: where not all agents fit, those that work are shown") {
  Desk desk;
  desk.size = {.columns = 78, .rows = 8};
  for (int i = 0; i < 40; ++i) {
    const Json who{{"task", "t"}, {"agent", "agent" + std::to_string(i)}};
    desk.view.event("model.call", who);
    if (i != 17) desk.view.event("agent.message", who);
  }
  desk.show();
  CHECK(desk.line("agent17").find("queue") != std::string::npos);
  CHECK(desk.terminal.screen().find("  and 36 more agents: 36 done\n") != std::string::npos);
  // A small task is not hidden by a large one.
  const Json lone{{"task", "u"}, {"agent", "lone"}};
  for (int i = 0; i < 40; ++i)
    desk.view.event("model.call", {{"task", "t"}, {"agent", "agent" + std::to_string(i)}});
  desk.view.event("model.call", lone);
  desk.show();
  CHECK(desk.line("lone").find("queue") != std::string::npos);
  CHECK(desk.terminal.screen().find("  and 37 more agents: 37 queue\n") != std::string::npos);
}

TEST_CASE("live view: a call that was cut off is stopped, a line of the log stands above") {
  Desk desk;
  desk.event("model.call", R"({"agent": "A"})");
  desk.event("model.cut", R"({"agent": "A", "usage": {}})");
  CHECK(desk.line("A").find("stopped") != std::string::npos);
  desk.view.note("warn: \x1b[2J");
  desk.show();
  CHECK(desk.terminal.screen().starts_with("warn:  [2J\n-- task t\n"));
}

TEST_CASE("live view: a window that became narrower leaves nothing behind") {
  Desk desk;
  desk.event("model.call", R"({"agent": "A"})");
  desk.progress("A", decoded(1, std::string(200, 'w')));
  desk.size.columns = 30;        // 77 columns now take 3 lines, the head stays one
  desk.view.finish();
  CHECK(desk.out.str() == "\r\x1b[4A\x1b[J\x1b[?25h");
}

TEST_CASE("live view: a question and its answer leave nothing of the block behind") {
  Desk desk;
  desk.event("run.start", R"({"run": "r", "name": "n", "tasks": ["t"]})");
  desk.event("task.start", R"({"target": "A"})");
  desk.event("tool.call", R"({"agent": "A", "tool": "note", "arguments": {}})");
  desk.view.note("allow?");
  desk.show();
  desk.terminal.feed("y\r\n");                   // the echo of what a person types
  desk.view.answered();
  desk.event("tool.policy", R"({"agent": "A", "tool": "note", "allowed": true, "rule": "ask x"})");
  desk.event("tool.result", R"({"agent": "A", "tool": "note", "text": "noted"})");
  const std::string screen = desk.terminal.screen();
  CAPTURE(screen);
  CHECK(screen.find("-- task t") == screen.rfind("-- task t"));
  CHECK(screen.find("\ny\n") == std::string::npos);
  CHECK(screen.find("  note -> noted") != std::string::npos);
}

TEST_CASE("live view: a decision of the policy is no agent; a refusal is told") {
  Desk desk;
  desk.event("run.start", R"({"run": "r", "name": "n", "tasks": ["t", "u"]})");
  desk.event("task.start", R"({"target": "A"})");
  // As a run tells it: without a task.
  desk.view.event("tool.policy", Json::parse(R"({"agent": "A", "tool": "note", "allowed": true})"));
  desk.view.event("tool.policy", Json::parse(R"({"agent": "A", "tool": "rm", "allowed": false,
                                                 "rule": "deny rm"})"));
  desk.show();
  const std::string screen = desk.terminal.screen();
  CAPTURE(screen);
  CHECK(screen.find("  A may not call rm: deny rm") != std::string::npos);
  CHECK(screen.find("now t\n") != std::string::npos);
  CHECK(screen.find("idle") == std::string::npos);
}

TEST_CASE("live view: servers that start are named, those that fail with what they said last") {
  Desk desk;
  desk.view.event("mcp.start", Json{{"server", "one"}});
  desk.view.event("mcp.start", Json{{"server", "two"}});
  desk.show();
  CHECK(desk.terminal.screen().find("-- starting the servers: one, two") != std::string::npos);
  desk.view.event("mcp.state", Json{{"server", "one"}, {"state", "failed"},
                                    {"reason", "it ended\na\nb\x1b[2J\nc\nd\n"}});
  desk.view.event("mcp.state", Json{{"server", "off"}, {"state", "disabled"}});
  desk.show();
  const std::string screen = desk.terminal.screen();
  CAPTURE(screen);
  CHECK(screen.find("server one is failed: it ended\n  | b [2J\n  | c\n  | d\n") !=
        std::string::npos);
  CHECK(screen.find("server off is disabled\n") != std::string::npos);
  CHECK(screen.find("-- starting the servers: two") != std::string::npos);
}
