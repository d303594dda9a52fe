#include "engine/base/async/process.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <utility>

#include "engine/base/async/guard.h"

namespace swarm {
namespace {

constexpr std::array<const char*, 8> kEnvironment{"HOME", "LOGNAME", "PATH", "SHELL",
                                                  "TERM", "USER",    "LANG", "TMPDIR"};

struct Pipe {
  int read = -1, write = -1;
  Pipe() = default;
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  ~Pipe() {
    close(read);
    close(write);
  }
  bool open() {
    int ends[2];
    if (::pipe2(ends, O_CLOEXEC) != 0) return false;
    read = ends[0];
    write = ends[1];
    return true;
  }
  static void close(int& fd) {
    if (fd >= 0) ::close(fd);
    fd = -1;
  }
};

// A write to a child that died must be an error, not the end of us. Process-wide, and only where
// nobody has decided otherwise; children get the default back.
void ignore_broken_pipes() {
  struct sigaction current{};
  if (::sigaction(SIGPIPE, nullptr, &current) == 0 && current.sa_handler == SIG_DFL)
    ::signal(SIGPIPE, SIG_IGN);
}

bool is_program(const std::string& path) {
  struct stat info{};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
         ::access(path.c_str(), X_OK) == 0;
}

// Everything the child needs, prepared before fork(): afterwards only async-signal-safe calls.
struct Image {
  std::array<char*, 3> guard{};    // arguments of the guard
  int in = -1, out = -1, err = -1, report = -1, lifeline = -1, order = -1;
};

[[noreturn]] void report_and_exit(int fd) {
  const int code = errno;
  [[maybe_unused]] const ssize_t written = ::write(fd, &code, sizeof code);
  ::_exit(127);
}

[[noreturn]] void become_guard(const Image& image) {
  ::setpgid(0, 0);
  // Duplicates above the final ones first: a source may itself be one of 0..5.
  constexpr int kAbove = 10;
  int fds[6] = {image.in, image.out, image.err, image.report, image.lifeline, image.order};
  static_assert(kGuardReport == 3 && kGuardLifeline == 4 && kGuardOrder == 5);
  for (int& fd : fds)
    if ((fd = ::fcntl(fd, F_DUPFD, kAbove)) < 0) report_and_exit(image.report);
  for (int fd = 0; fd < 6; ++fd)
    if (::dup2(fds[fd], fd) < 0) report_and_exit(fds[3]);
  ::close_range(6, ~0U, 0);
  ::execve("/proc/self/exe", image.guard.data(), environ);
  report_and_exit(kGuardReport);
}

Error system_error(const std::string& what, int code) {
  return environment_error(what + ": " + std::strerror(code));
}

}  // namespace

std::vector<std::string> child_environment(const std::map<std::string, std::string>& extra,
                                           bool inherit) {
  std::map<std::string, std::string> merged;
  if (inherit)
    for (const char* name : kEnvironment)
      if (const char* value = std::getenv(name)) merged[name] = value;
  for (const auto& [name, value] : extra) merged[name] = value;
  std::vector<std::string> out;
  for (const auto& [name, value] : merged) out.push_back(name + "=" + value);
  return out;
}

Result<std::string> find_program(const std::string& name, const std::string& path,
                                 const std::string& cwd) {
  if (name.empty()) return invalid_input("command: expected a program, found an empty text");
  if (name.find('/') != std::string::npos) {
    const std::string full = name[0] == '/' || cwd.empty() ? name : cwd + "/" + name;
    if (is_program(full)) return name;
    return environment_error("program \"" + name + "\" is not an executable file" +
                             (cwd.empty() ? "" : " (working folder " + cwd + ")"));
  }
  size_t begin = 0;
  while (begin <= path.size()) {
    const size_t end = std::min(path.find(':', begin), path.size());
    const std::string folder = path.substr(begin, end - begin);
    if (!folder.empty() && is_program(folder + "/" + name)) return folder + "/" + name;
    begin = end + 1;
  }
  return environment_error("program \"" + name + "\" was not found; PATH is \"" + path +
                           "\"; install it, give its full path, or set PATH in env");
}

Result<Process> Process::spawn(const SpawnOptions& options) {
  if (options.command.empty()) return invalid_input("command: expected a program, found nothing");
  std::vector<std::string> environment = child_environment(options.env, options.inherit_env);
  std::string path;
  for (const std::string& entry : environment)
    if (entry.rfind("PATH=", 0) == 0) path = entry.substr(5);
  struct stat info{};
  if (!options.cwd.empty() &&
      (::stat(options.cwd.c_str(), &info) != 0 || !S_ISDIR(info.st_mode)))
    return environment_error("working folder \"" + options.cwd + "\" does not exist");
  GuardOrder order;
  SWARM_TRY(order.program, find_program(options.command[0], path, options.cwd));
  order.cwd = options.cwd;
  order.arguments = options.command;
  order.limits = options.limits;
  if (!options.cgroup.empty()) order.cgroup_list = options.cgroup + "/cgroup.procs";
  order.environment = std::move(environment);
  ignore_broken_pipes();
  Pipe in, out, err, report, lifeline, order_file;
  if (!in.open() || !out.open() || !err.open() || !report.open() || !lifeline.open())
    return system_error("pipe", errno);
  order_file.read = write_guard_order(order);
  if (order_file.read < 0) return system_error("memfd_create", errno);
  std::string guard = guard_name();
  Image image;
  image.guard = {guard.data(), order.program.data(), nullptr};  // the latter for lists of processes
  image.in = in.read;
  image.out = out.write;
  image.err = err.write;
  image.report = report.write;
  image.lifeline = lifeline.read;
  image.order = order_file.read;
  const pid_t pid = ::fork();
  if (pid < 0) return system_error("fork", errno);
  if (pid == 0) become_guard(image);
  ::setpgid(pid, pid);  // both sides do it: whoever comes first

  Process process;
  process.pid_ = pid;
  process.lifeline_ = std::exchange(lifeline.write, -1);
  process.stdin_ = std::exchange(in.write, -1);
  process.stdout_ = std::exchange(out.read, -1);
  process.stderr_ = std::exchange(err.read, -1);
  Pipe::close(report.write);
  int code = 0;
  ssize_t got = 0;
  do {
    got = ::read(report.read, &code, sizeof code);
  } while (got < 0 && errno == EINTR);
  if (got == sizeof code) return system_error("\"" + options.command[0] + "\"", code);
  // The declaration of glibc 2.36 lacks C linkage.
  process.exit_ = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0));
  if (process.exit_ < 0) return system_error("pidfd_open", errno);
  return process;
}

Process::Process(Process&& other) noexcept { *this = std::move(other); }

Process& Process::operator=(Process&& other) noexcept {
  std::swap(pid_, other.pid_);
  std::swap(stdin_, other.stdin_);
  std::swap(stdout_, other.stdout_);
  std::swap(stderr_, other.stderr_);
  std::swap(exit_, other.exit_);
  std::swap(lifeline_, other.lifeline_);
  return *this;
}

Process::~Process() {
  close_all();
  if (pid_ < 0) return;
  while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
  }
}

void Process::close_all() {
  for (int* fd : {&stdin_, &stdout_, &stderr_, &exit_}) Pipe::close(*fd);
  kill_all();
}

int Process::release(int& fd) { return std::exchange(fd, -1); }

void Process::signal_group(int signal) const {
  if (pid_ > 0) ::kill(-pid_, signal);
}

void Process::kill_all() {
  if (pid_ > 0) ::kill(pid_, SIGCONT);  // should somebody have stopped it
  Pipe::close(lifeline_);
}

std::optional<ProcessEnd> Process::ended() const {
  if (pid_ < 0) return ProcessEnd{};
  siginfo_t info{};
  if (::waitid(P_PID, static_cast<id_t>(pid_), &info, WEXITED | WNOHANG | WNOWAIT) != 0 ||
      info.si_pid != pid_)
    return std::nullopt;
  return ProcessEnd{.by_signal = info.si_code != CLD_EXITED, .value = info.si_status};
}

std::string Process::exit_text() const {
  const std::optional<ProcessEnd> end = ended();
  if (pid_ < 0 || !end) return "still running";
  return (end->by_signal ? "signal " : "exit code ") + std::to_string(end->value);
}

std::string Process::reap() {
  const std::string text = exit_text();
  if (pid_ > 0)
    while (::waitpid(pid_, nullptr, 0) < 0 && errno == EINTR) {
    }
  pid_ = -1;
  return text;
}

}  // namespace swarm
