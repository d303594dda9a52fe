// tests/support/process.h — Runs a program to its end and captures what it said. Blocks the calling
// thread; the whole process group is killed when the time limit passes.
#pragma once

#include <chrono>
#include <filesystem>
#include <functional>
#include <string>
#include <vector>

#include <sys/types.h>

namespace swarm::test {

struct Finished {
  int code = 0;                 // exit status; 128 + signal when killed
  bool timed_out = false;
  std::string out, err;
  std::chrono::milliseconds wall{0};
};

struct ProcessOptions {
  std::chrono::seconds limit{60};
  std::string input;                                  // standard input
  std::function<void(pid_t)> while_running;           // called once, about when it has started
};

// command[0] is a path. Throws std::runtime_error if it cannot be started.
Finished run_process(const std::vector<std::string>& command, const ProcessOptions& options = {});

// Running processes whose command line contains text.
std::vector<pid_t> processes_mentioning(const std::string& text);

}  // namespace swarm::test
