// tools/sandbox/sandbox.h — Programs that must not be trusted, run by bubblewrap in namespaces of
// their own (user, process, mount, network, IPC, host name). A program sees: the system's programs
// and libraries, read-only; a private, bounded /tmp; its own processes in /proc; one folder of ours
// as /workspace, where granted; an environment it is given. No network unless granted, no
// capabilities, no further user namespaces. It is stopped with everything it started.
// How far it fills the granted folder is looked at while it runs, and before the next call: an
// ordinary user cannot put a quota on a folder (project quotas need the superuser and a file system
// mounted for them; a size-limited mount would be another folder than the one that was granted).
// So the bound may be passed by what is written between two looks.
// Where bubblewrap is missing or may not make namespaces, nothing runs: the error names the remedy.
// Only `confined = false`, written by the user, runs programs with our rights (limits still hold).
// One strand; shared by the tools that use it.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <vector>

#include "tools/sandbox/child.h"

namespace swarm::tools::sandbox {

struct SandboxOptions {
  bool confined = true;
  std::string root;                // folder shown as /workspace, also the working folder; "" = none
  bool writable = true;            // root
  bool network = false;            // the host's network, loopback included
  std::map<std::string, std::string> env;
  uint64_t file_bytes_max = uint64_t{64} << 20;
  uint64_t tmp_bytes_max = uint64_t{64} << 20;
  uint64_t disk_bytes_max = uint64_t{1} << 30;  // by which root may grow, all calls together
  uint64_t disk_entries_max = 100'000;          // the same in files and folders
  ChildLimits child = {};
};

class Sandbox {
 public:
  explicit Sandbox(SandboxOptions options) : options_(std::move(options)) {}

  const SandboxOptions& options() const { return options_; }

  // Whether programs can run here at all. Looks once; error kind environment.
  Async<Result<void>> check();

  // Runs to the end, whatever it is. Throws ErrorException{environment} when check() fails.
  Async<ChildResult> run(std::vector<std::string> command, std::string input);

  // The command line of bubblewrap, for tests and --dry-run.
  std::vector<std::string> command_line(const std::vector<std::string>& command) const;

 private:
  Async<Result<void>> probe(bool proc);
  SpawnOptions spawn_options(const std::vector<std::string>& command) const;
  SpawnOptions unconfined_options(const std::vector<std::string>& command) const;
  Result<ChildLimits> limits_of_call();

  const SandboxOptions options_;
  std::string bwrap_;              // full path, once found
  bool proc_ = true;               // a fresh /proc can be mounted
  std::optional<Result<void>> checked_;
  std::optional<DiskUse> before_;  // of root, when the first call began
};

// What a model reads of a program's end: output, what went to stderr, why it was stopped.
std::string to_text(const ChildResult& result, const ChildLimits& limits);

}  // namespace swarm::tools::sandbox
