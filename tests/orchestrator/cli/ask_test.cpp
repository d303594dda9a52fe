// Consent to a tool call, asked of a person at a terminal: the whole program at a pseudo-terminal.
#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/base/json.h"
#include "orchestrator/cli/ask.h"
#include "tests/support/process.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace std::chrono_literals;

namespace {

using Clock = std::chrono::steady_clock;

// A program at a terminal of its own, 100 columns wide. Killed, should it still run in the end.
class Terminal {
 public:
  explicit Terminal(const std::vector<std::string>& command) {
    const winsize size{.ws_row = 30, .ws_col = 100, .ws_xpixel = 0, .ws_ypixel = 0};
    REQUIRE(::openpty(&master_, &slave_, nullptr, nullptr, &size) == 0);
    flags_ = ::fcntl(slave_, F_GETFL);
    ::tcgetattr(slave_, &settings_);
    std::vector<char*> argv;
    for (const std::string& word : command) argv.push_back(const_cast<char*>(word.c_str()));
    argv.push_back(nullptr);
    pid_ = ::fork();
    REQUIRE(pid_ >= 0);
    if (pid_ > 0) return;
    ::setsid();
    ::ioctl(slave_, TIOCSCTTY, 0);
    for (const int fd : {0, 1, 2}) ::dup2(slave_, fd);
    ::close(master_);
    ::execv(argv[0], argv.data());
    ::_exit(127);
  }
  ~Terminal() {
    if (pid_ > 0) {
      ::kill(pid_, SIGKILL);
      ::waitpid(pid_, nullptr, 0);
    }
    ::close(master_);
    ::close(slave_);
  }
  Terminal(const Terminal&) = delete;
  Terminal& operator=(const Terminal&) = delete;

  // Whether the text comes up, behind what was seen before.
  bool sees(const std::string& text, std::chrono::milliseconds limit = 20s) {
    const auto until = Clock::now() + limit;
    while (true) {
      if (const size_t at = shown_.find(text, seen_); at != std::string::npos) {
        seen_ = at + text.size();
        return true;
      }
      if (!read_more(until)) return false;
    }
  }
  void type(const std::string& text) {
    REQUIRE(::write(master_, text.data(), text.size()) == static_cast<ssize_t>(text.size()));
  }
  // The exit code; -1: it does not end.
  int ended(std::chrono::milliseconds limit = 20s) {
    const auto until = Clock::now() + limit;
    int status = 0;
    while (::waitpid(pid_, &status, WNOHANG) == 0)
      if (!read_more(std::min(until, Clock::now() + 20ms)) && Clock::now() > until) return -1;
    pid_ = -1;
    while (read_more(Clock::now() + 20ms)) {
    }
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }
  // As the program found it: whoever uses the terminal next depends on it.
  bool is_as_before() const {
    termios now{};
    ::tcgetattr(slave_, &now);
    return ::fcntl(slave_, F_GETFL) == flags_ && now.c_lflag == settings_.c_lflag &&
           now.c_iflag == settings_.c_iflag;
  }

 private:
  bool read_more(Clock::time_point until) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Clock::now());
    pollfd wait{.fd = master_, .events = POLLIN, .revents = 0};
    if (left.count() <= 0 || ::poll(&wait, 1, static_cast<int>(left.count())) <= 0) return false;
    char bytes[4096];
    const ssize_t count = ::read(master_, bytes, sizeof bytes);
    if (count <= 0) return false;
    shown_.append(bytes, static_cast<size_t>(count));
    return true;
  }

  int master_ = -1, slave_ = -1, flags_ = 0;
  pid_t pid_ = -1;
  termios settings_{};
  std::string shown_;
  size_t seen_ = 0;
};

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
