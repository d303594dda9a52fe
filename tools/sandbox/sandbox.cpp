#include "tools/sandbox/sandbox.h"

#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <csignal>

#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "tools/sandbox/process_group_bound.h"

namespace swarm::tools::sandbox {
namespace {

// bubblewrap's own, outside and inside, and the shell that enters.
constexpr size_t kOwnProcesses = 4;
constexpr std::chrono::seconds kGroupEnd{2};
constexpr const char* kSearchPath = "/usr/local/bin:/usr/bin:/bin";
constexpr const char* kInsidePath = "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin";
// The first bytes on stderr once the inside is reached; without them it is bubblewrap that speaks.
constexpr std::string_view kInside = "\x1e\n";
// Limits that the user namespace counts for itself are set inside. bash says -u, dash says -p; a
// hard limit that is lower already stays. "$@" without a word is never reached with none. The
// lowest priority: thousands of processes at ours would keep us, and bubblewrap, from ending them.
constexpr const char* kEnter =
    "if (ulimit -u \"$1\") 2>/dev/null; then ulimit -u \"$1\"; "
    "elif (ulimit -p \"$1\") 2>/dev/null; then ulimit -p \"$1\"; fi; shift; "
    "printf '\\036\\n' >&2; exec nice -n 19 \"$@\"";

Error refused(const std::string& why, const std::string& remedy) {
  return environment_error("no sandbox: " + why + "; " + remedy +
                           ", or say `sandbox: off` for the tool to run it unconfined");
}

// /bin is a link into /usr on merged systems and a folder on others.
void add_system(std::vector<std::string>& line) {
  line.insert(line.end(), {"--ro-bind", "/usr", "/usr"});
  for (const char* path : {"/bin", "/sbin", "/lib", "/lib64", "/lib32", "/libx32"}) {
    struct stat info{};
    if (::lstat(path, &info) != 0) continue;
    if (S_ISLNK(info.st_mode)) {
      std::string target(4096, '\0');
      const ssize_t length = ::readlink(path, target.data(), target.size());
      if (length <= 0) continue;
      target.resize(static_cast<size_t>(length));
      line.insert(line.end(), {"--symlink", target, path});
    } else {
      line.insert(line.end(), {"--ro-bind", path, path});
    }
  }
  for (const char* path : {"/etc/alternatives", "/etc/ld.so.cache", "/etc/localtime"})
    line.insert(line.end(), {"--ro-bind-try", path, path});
}

// Names and certificates; never whole folders that may hold keys.
void add_network(std::vector<std::string>& line) {
  for (const char* path : {"/etc/resolv.conf", "/etc/hosts", "/etc/nsswitch.conf", "/etc/services",
                           "/etc/ssl/certs", "/etc/ssl/openssl.cnf"})
    line.insert(line.end(), {"--ro-bind-try", path, path});
}

}  // namespace

std::vector<std::string> Sandbox::command_line(const std::vector<std::string>& command) const {
  std::vector<std::string> line{bwrap_.empty() ? "bwrap" : bwrap_,
                                "--unshare-user", "--disable-userns", "--unshare-ipc",
                                "--unshare-pid", "--unshare-uts", "--unshare-cgroup-try",
                                "--uid", "65534", "--gid", "65534", "--hostname", "sandbox",
                                "--die-with-parent", "--new-session", "--cap-drop", "ALL"};
  if (!options_.network) line.push_back("--unshare-net");
  add_system(line);
  if (options_.network) add_network(line);
  // Read-only: started by the superuser, a program owns the knobs in /proc/sys, and bubblewrap
  // leaves them open.
  if (proc_)
    line.insert(line.end(), {"--proc", "/proc", "--remount-ro", "/proc"});
  else
    line.insert(line.end(), {"--dir", "/proc"});
  const std::string tmp = std::to_string(options_.tmp_bytes_max);
  line.insert(line.end(), {"--dev", "/dev", "--size", tmp, "--tmpfs", "/dev/shm",
                           "--remount-ro", "/dev", "--size", tmp, "--tmpfs", "/tmp"});
  if (!options_.root.empty())
    line.insert(line.end(), {options_.writable ? "--bind" : "--ro-bind", options_.root,
                             "/workspace"});
  line.insert(line.end(), {"--remount-ro", "/", "--chdir",
                           options_.root.empty() ? "/tmp" : "/workspace", "--clearenv"});
  const auto set = [&](const std::string& name, const std::string& value) {
    line.insert(line.end(), {"--setenv", name, value});
  };
  set("PATH", kInsidePath);
  set("HOME", "/tmp");
  set("LANG", "C.UTF-8");
  for (const auto& [name, value] : options_.env) set(name, value);
  // Two more for bubblewrap itself.
  line.insert(line.end(), {"--", "/bin/sh", "-c", kEnter, "sandbox",
                           std::to_string(options_.child.processes_max + 2)});
  line.insert(line.end(), command.begin(), command.end());
  return line;
}

SpawnOptions Sandbox::spawn_options(const std::vector<std::string>& command) const {
  SpawnOptions spawn;
  spawn.command = command_line(command);
  // What bubblewrap has, its child could read from /proc/1/environ.
  spawn.inherit_env = false;
  spawn.cwd = "/";
  spawn.limits = {{RLIMIT_CORE, 0}, {RLIMIT_FSIZE, options_.file_bytes_max},
                  {RLIMIT_AS, options_.child.memory_bytes_max}};
  return spawn;
}

SpawnOptions Sandbox::unconfined_options(const std::vector<std::string>& command) const {
  SpawnOptions spawn = spawn_options(command);
  spawn.command = command;
  spawn.env = {{"PATH", kInsidePath}, {"HOME", "/tmp"}, {"LANG", "C.UTF-8"}};
  for (const auto& [name, value] : options_.env) spawn.env[name] = value;
  spawn.cwd = options_.root.empty() ? "/tmp" : options_.root;
  return spawn;
}

Async<Result<void>> Sandbox::probe(bool proc) {
  proc_ = proc;
  ChildLimits limits;
  limits.wall = std::chrono::seconds(10);
  const SpawnOptions spawn = spawn_options({"/bin/true"});
  const ChildResult result = co_await run_child(spawn, "", limits);
  const std::string said = result.err.text();
  if (said.rfind(kInside, 0) == 0 && !result.end.by_signal && result.end.value == 0)
    co_return Result<void>();
  co_return refused("bubblewrap failed: " + said,
                    "allow user namespaces (sysctl user.max_user_namespaces, "
                    "kernel.unprivileged_userns_clone, "
                    "kernel.apparmor_restrict_unprivileged_userns; in a container a seccomp "
                    "profile that lets clone and unshare pass)");
}

Async<Result<void>> Sandbox::check() {
  if (!options_.confined) co_return Result<void>();
  if (checked_) co_return *checked_;
  struct stat info{};
  if (!options_.root.empty() &&
      (::stat(options_.root.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)))
    co_return Result<void>(environment_error("root \"" + options_.root + "\" is not a folder"));
  const auto found = find_program("bwrap", kSearchPath, "");
  if (!found) {
    checked_ = refused("bubblewrap is not installed", "install the Debian package bubblewrap");
    co_return *checked_;
  }
  bwrap_ = *found;
  Result<void> outcome = co_await probe(true);
  // Containers that hide parts of /proc may not mount a new one: then there is none inside.
  if (!outcome) {
    const Result<void> without = co_await probe(false);
    if (without) outcome = without;
  }
  checked_ = outcome;
  co_return outcome;
}

// A folder that is full stays so until somebody has made room: no call begins in it.
Result<ChildLimits> Sandbox::limits_of_call() {
  ChildLimits limits = options_.child;
  if (options_.root.empty() || !options_.writable) return limits;
  const DiskUse now = disk_use(options_.root, {});
  if (!before_) before_ = now;
  limits.folder = options_.root;
  limits.folder_bytes_max = before_->bytes + options_.disk_bytes_max;
  limits.folder_entries_max = before_->entries + options_.disk_entries_max;
  if (now.bytes > limits.folder_bytes_max || now.entries > limits.folder_entries_max)
    return failed("not run: the working folder has grown by more than " +
                  std::to_string(options_.disk_bytes_max) + " bytes or " +
                  std::to_string(options_.disk_entries_max) +
                  " files since the first call; somebody must make room");
  return limits;
}

Async<ChildResult> Sandbox::run(std::vector<std::string> command, std::string input) {
  const Result<void> usable = co_await check();
  if (!usable) throw ErrorException(usable.error());
  const ChildLimits limits = limits_of_call().value();
  SpawnOptions spawn = options_.confined ? spawn_options(command) : unconfined_options(command);
  auto bound = ProcessGroupBound::make(options_.child.processes_max + kOwnProcesses);
  if (bound) spawn.cgroup = bound->folder();
  std::optional<ChildResult> ended;
  const auto body = [&]() -> Async<> {
    ended = co_await run_child(spawn, std::move(input), limits);
  };
  const auto cleanup = [&]() -> Async<> {      // the last processes end a little later
    const TimePoint until = steady_clock().now() + kGroupEnd;
    while (bound && !bound->remove() && steady_clock().now() < until)
      co_await wait_until(steady_clock(), steady_clock().now() + std::chrono::milliseconds(2));
  };
  co_await with_cleanup(body, cleanup);
  ChildResult result = std::move(*ended);
  if (options_.confined && !result.err.drop_prefix(kInside) && result.stopped == Stopped::no)
    throw ErrorException(environment_error("no sandbox: " + result.err.text()));
  co_return result;
}

std::string to_text(const ChildResult& result, const ChildLimits& limits) {
  std::string out = result.out.text();
  const auto line = [&](const std::string& text) {
    if (!out.empty() && out.back() != '\n') out += '\n';
    out += text;
  };
  if (result.err.total() > 0) line("[stderr]\n" + result.err.text());
  switch (result.stopped) {
    case Stopped::wall:
      line("[stopped: it ran longer than " + std::to_string(limits.wall.count()) + " ms]");
      break;
    case Stopped::output:
      line("[stopped: it wrote more than " + std::to_string(limits.output_bytes_stop) + " bytes]");
      break;
    case Stopped::processes:
      line("[stopped: it had more than " + std::to_string(limits.processes_max) + " processes]");
      break;
    case Stopped::memory:
      line("[stopped: it used more than " + std::to_string(limits.memory_bytes_max) +
           " bytes of memory]");
      break;
    case Stopped::disk:
      line("[stopped: the working folder grew beyond its limit]");
      break;
    case Stopped::no:
      if (result.end.by_signal)
        line("[ended by signal " + std::to_string(result.end.value) + "]");
      else if (result.end.value != 0)
        line("[exit code " + std::to_string(result.end.value) + "]");
  }
  return out.empty() ? "[no output]" : out;
}

}  // namespace swarm::tools::sandbox
