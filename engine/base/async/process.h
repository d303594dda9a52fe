// engine/base/async/process.h — A child process in a group of its own, talking over three pipes.
// Linux. The child gets nothing but its pipes, a small environment and default signals. Between it
// and us is a guard (guard.h), which leads the group: neither the child nor anything it started
// outlives us, not even by SIGKILL. The guard is not reaped before reap(), so its process group
// cannot be mistaken for another.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/error.h"

namespace swarm {

struct SpawnOptions {
  std::vector<std::string> command;        // argv; the first is looked up in PATH, no shell
  std::map<std::string, std::string> env;  // added to HOME LOGNAME PATH SHELL TERM USER LANG TMPDIR
  bool inherit_env = true;                 // false: env is the whole environment
  std::string cwd;                         // "" = ours
  std::vector<std::pair<int, uint64_t>> limits = {};  // RLIMIT_*, soft and hard
  std::string cgroup = {};                 // folder of a control group it enters before it runs
};

struct ProcessEnd {
  bool by_signal = false;
  int value = 0;                           // exit code, or number of the signal
};

// Owns the process until reaped. Descriptors are given away by release_*().
class Process {
 public:
  static Result<Process> spawn(const SpawnOptions& options);
  Process(Process&& other) noexcept;
  Process& operator=(Process&& other) noexcept;
  // Last resort: kills everybody and waits, should nobody have called reap().
  ~Process();

  int pid() const { return pid_; }                   // of the guard
  int release_stdin() { return release(stdin_); }    // we write, close-on-exec
  int release_stdout() { return release(stdout_); }  // we read
  int release_stderr() { return release(stderr_); }  // we read
  int release_exit() { return release(exit_); }      // pidfd: readable when all have ended

  // To every process of the group; nothing happens after reap().
  void signal_group(int signal) const;
  // The child and whatever it left, wherever that went: SIGKILL, at once and for good.
  void kill_all();
  // The child has ended, and with it everything it started. False: not yet.
  bool has_exited() const { return ended().has_value(); }
  // How it ended, as long as it is not reaped; nullopt while it runs.
  std::optional<ProcessEnd> ended() const;
  // "exit code 3", "signal 9"; has_exited() must hold. Afterwards the pid is gone.
  std::string reap();
  // The same text without reaping.
  std::string exit_text() const;

 private:
  Process() = default;
  static int release(int& fd);
  void close_all();

  int pid_ = -1;
  int stdin_ = -1, stdout_ = -1, stderr_ = -1, exit_ = -1;
  int lifeline_ = -1;              // closing it is the end of all
};

// The environment a child gets: the whitelist of ours, overridden by `extra`. "NAME=value" each.
std::vector<std::string> child_environment(const std::map<std::string, std::string>& extra,
                                           bool inherit = true);

// The program a command names, searched like a shell does but in `path` and relative to `cwd`.
Result<std::string> find_program(const std::string& name, const std::string& path,
                                 const std::string& cwd);

}  // namespace swarm
