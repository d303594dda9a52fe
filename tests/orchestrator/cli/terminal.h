// tests/orchestrator/cli/terminal.h — The whole program at a pseudo-terminal, as a person has it.
#pragma once

#include <doctest/doctest.h>
#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <termios.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <string>
#include <vector>

namespace swarm::test {

using Time = std::chrono::steady_clock;
inline constexpr std::chrono::milliseconds kPause{20};

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
  bool sees(const std::string& text, std::chrono::milliseconds limit = std::chrono::seconds(20)) {
    const auto until = Time::now() + limit;
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
  int ended(std::chrono::milliseconds limit = std::chrono::seconds(20)) {
    const auto until = Time::now() + limit;
    int status = 0;
    while (::waitpid(pid_, &status, WNOHANG) == 0)
      if (!read_more(std::min(until, Time::now() + kPause)) && Time::now() > until) return -1;
    pid_ = -1;
    while (read_more(Time::now() + kPause)) {
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
  bool read_more(Time::time_point until) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(until - Time::now());
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

}  // namespace swarm::test
