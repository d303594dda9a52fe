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
  void event(const char* type, const char* data) {
    view.event(type, Json::parse(data));
    show();
  }
  void progress(const char* agent, const agents::Progress& progress) {
    view.progress(agent, progress);
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
  desk.event("run.start", R"({"run": "r1", "name": "desk"})");
  frame("the models are opened");
  desk.event("mcp.start", R"({"server": "shop", "tools": ["shop__price"]})");
  desk.event("task.start", R"({"task": "t", "target": "desk"})");
  desk.event("round.start", R"({"task": "t", "round": 1, "goal": "Clerk: find the prices."})");
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
             R"({"agent": "Clerk", "usage": {"output_tokens": 10, "decode_ms": 80}})");
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
  desk.event("round.start", R"({"task": "t", "round": 2, "goal": "Solver: add."})");
  frame("the next round reads what came along them");
  desk.view.note("cancelling; again to leave at once");
  desk.show();
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
    desk.view.event("model.call", {{"agent", "agent" + std::to_string(i)}});
  desk.view.progress("agent0", decoded(100, std::string(300, 'w') + "\xe6\x9c\xab"));
  desk.clock.advance(1s);
  desk.view.progress("agent0", decoded(1, "!"));
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
  view.event("model.call", {{"agent", "A"}});
  view.progress("A", decoded(1, "one"));
  view.event("agent.message", {{"agent", "A"}, {"public", "said \x1b[31m\nthis"}});
  view.finish();
  CHECK(out.str() == "run r of n\n  A: said  [31m this\n");
}
