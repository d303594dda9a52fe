#include "engine/base/async/guard.h"

#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>

namespace swarm {
namespace {

constexpr const char* kName = "swarm-guard";
constexpr int kPoliteMs = 200;         // between SIGTERM and SIGKILL for what a child left behind
constexpr int kCannotStart = 127;

// ---- The order: its texts, each ended by NUL.

void add(std::string& out, const std::string& text) { out.append(text).push_back('\0'); }

void add(std::string& out, const std::vector<std::string>& texts) {
  add(out, std::to_string(texts.size()));
  for (const std::string& text : texts) add(out, text);
}

class OrderReader {
 public:
  explicit OrderReader(std::string bytes) : bytes_(std::move(bytes)) {}
  std::string text() {
    const size_t end = std::min(bytes_.find('\0', at_), bytes_.size());
    std::string out = bytes_.substr(at_, end - at_);
    at_ = std::min(end + 1, bytes_.size());
    return out;
  }
  std::vector<std::string> texts() {
    std::vector<std::string> out(std::strtoul(text().c_str(), nullptr, 10));
    for (std::string& one : out) one = text();
    return out;
  }

 private:
  const std::string bytes_;
  size_t at_ = 0;
};

GuardOrder read_order() {
  std::string bytes;
  char block[4096];
  ::lseek(kGuardOrder, 0, SEEK_SET);
  for (ssize_t got = 0; (got = ::read(kGuardOrder, block, sizeof block)) > 0;)
    bytes.append(block, static_cast<size_t>(got));
  ::close(kGuardOrder);
  OrderReader reader(std::move(bytes));
  GuardOrder order;
  order.program = reader.text();
  order.cwd = reader.text();
  order.cgroup_list = reader.text();
  order.arguments = reader.texts();
  order.environment = reader.texts();
  const std::vector<std::string> limits = reader.texts();
  for (size_t i = 0; i + 1 < limits.size(); i += 2)
    order.limits.emplace_back(std::atoi(limits[i].c_str()),
                              std::strtoull(limits[i + 1].c_str(), nullptr, 10));
  return order;
}

std::vector<char*> pointers(std::vector<std::string>& texts) {
  std::vector<char*> out;
  for (std::string& text : texts) out.push_back(text.data());
  out.push_back(nullptr);
  return out;
}

// ---- The child.

bool enter_group(const std::string& list) {
  if (list.empty()) return true;
  const int fd = ::open(list.c_str(), O_WRONLY | O_CLOEXEC);
  return fd >= 0 && ::write(fd, "0", 1) == 1;    // 0: the writer itself
}

[[noreturn]] void become_child(GuardOrder& order, pid_t guard) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (::getppid() != guard) ::_exit(kCannotStart);
  for (int number = 1; number < NSIG; ++number) ::signal(number, SIG_DFL);
  sigset_t none;
  ::sigemptyset(&none);
  ::sigprocmask(SIG_SETMASK, &none, nullptr);
  const std::vector<char*> arguments = pointers(order.arguments);
  const std::vector<char*> environment = pointers(order.environment);
  bool ready = enter_group(order.cgroup_list) &&
               (order.cwd.empty() || ::chdir(order.cwd.c_str()) == 0);
  for (const auto& [resource, value] : order.limits) {
    const rlimit limit{value, value};
    // The declared type of the first argument is an enumeration in C++.
    ready = ready && ::setrlimit(static_cast<__rlimit_resource>(resource), &limit) == 0;
  }
  if (ready)
    ::execve(order.program.c_str(), arguments.data(), environment.data());
  const int code = errno;
  [[maybe_unused]] const ssize_t written = ::write(kGuardReport, &code, sizeof code);
  ::_exit(kCannotStart);
}

// ---- Everybody below us.

// True when the process is a child of ours that still runs.
bool is_child(const char* pid) {
  const std::string path = std::string("/proc/") + pid + "/stat";
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) return false;
  char text[512];
  const ssize_t got = ::read(fd, text, sizeof text - 1);
  ::close(fd);
  if (got <= 0) return false;
  text[got] = '\0';
  const char* end_of_name = std::strrchr(text, ')');  // "pid (name) state ppid ..."
  if (end_of_name == nullptr || std::strlen(end_of_name) < 5 || end_of_name[2] == 'Z') return false;
  return std::strtol(end_of_name + 4, nullptr, 10) == ::getpid();
}

void signal_children(int signal) {
  DIR* folder = ::opendir("/proc");
  if (folder == nullptr) return;
  while (const dirent* entry = ::readdir(folder))
    if (std::isdigit(static_cast<unsigned char>(entry->d_name[0])) != 0 && is_child(entry->d_name))
      ::kill(static_cast<pid_t>(std::strtol(entry->d_name, nullptr, 10)), signal);
  ::closedir(folder);
}

// Waits for a child to end; false when there is none left or `patience_ms` have passed.
bool reap_some(int signals, int patience_ms) {
  while (true) {
    bool any = false;
    pid_t got = 0;
    while ((got = ::waitpid(-1, nullptr, WNOHANG)) > 0) any = true;
    if (got < 0) return false;
    if (any) return true;
    pollfd news{signals, POLLIN, 0};
    if (::poll(&news, 1, patience_ms) == 0) return false;
    signalfd_siginfo info;
    [[maybe_unused]] const ssize_t read = ::read(signals, &info, sizeof info);
  }
}

// The children of those who die become ours: round by round until nobody is left.
void end_everybody(int signals, bool politely) {
  if (politely) {
    signal_children(SIGTERM);
    while (reap_some(signals, kPoliteMs)) {
    }
  }
  constexpr int kRoundMs = 20;
  while (::waitpid(-1, nullptr, WNOHANG) >= 0) {
    signal_children(SIGKILL);
    reap_some(signals, kRoundMs);
  }
}

[[noreturn]] void end_like(int status) {
  if (!WIFSIGNALED(status)) ::_exit(WEXITSTATUS(status));
  const rlimit no_core{0, 0};
  ::setrlimit(RLIMIT_CORE, &no_core);
  ::signal(WTERMSIG(status), SIG_DFL);
  sigset_t all;
  ::sigfillset(&all);
  ::sigprocmask(SIG_UNBLOCK, &all, nullptr);
  ::raise(WTERMSIG(status));
  ::_exit(kCannotStart);
}

// Until the child ends or the lifeline breaks. Everybody else who dies is reaped on the way.
int watch(pid_t child, int signals) {
  pollfd both[2]{{kGuardLifeline, POLLIN, 0}, {signals, POLLIN, 0}};
  int status = 0;
  while (true) {
    pid_t got = 0;
    while ((got = ::waitpid(-1, &status, WNOHANG)) > 0) {
      if (got != child) continue;
      end_everybody(signals, true);
      return status;
    }
    both[0].revents = both[1].revents = 0;
    if (::poll(both, 2, -1) < 0 && errno != EINTR) break;
    if (both[0].revents != 0) break;
    signalfd_siginfo info;
    if (both[1].revents != 0) {
      [[maybe_unused]] const ssize_t read = ::read(signals, &info, sizeof info);
    }
  }
  end_everybody(signals, false);
  return SIGKILL;
}

[[noreturn]] void guard() {
  ::prctl(PR_SET_CHILD_SUBREAPER, 1);
  for (const int fd : {kGuardReport, kGuardLifeline, kGuardOrder}) ::fcntl(fd, F_SETFD, FD_CLOEXEC);
  for (const int number : {SIGTERM, SIGINT, SIGHUP, SIGQUIT, SIGPIPE, SIGUSR1, SIGUSR2})
    ::signal(number, SIG_IGN);         // meant for the child, which is in our group
  sigset_t ended;
  ::sigemptyset(&ended);
  ::sigaddset(&ended, SIGCHLD);
  ::sigprocmask(SIG_BLOCK, &ended, nullptr);
  const int signals = ::signalfd(-1, &ended, SFD_CLOEXEC | SFD_NONBLOCK);
  GuardOrder order = read_order();
  const pid_t self = ::getpid();
  const pid_t child = ::fork();
  if (child == 0) become_child(order, self);
  if (child < 0 || signals < 0) {
    const int code = errno;
    [[maybe_unused]] const ssize_t written = ::write(kGuardReport, &code, sizeof code);
    if (child > 0) ::kill(child, SIGKILL);
    ::_exit(kCannotStart);
  }
  // The pipes are the child's alone: their ends must be seen.
  const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  for (const int fd : {0, 1, 2})
    if (nowhere < 0 || ::dup2(nowhere, fd) < 0) ::close(fd);
  ::close(kGuardReport);
  end_like(watch(child, signals));
}

// Before main(): whatever program we are part of, it can be its own guard.
__attribute__((constructor)) void become_guard_if_asked(int count, char** arguments, char**) {
  if (count > 0 && std::strcmp(arguments[0], kName) == 0) guard();
}

}  // namespace

const char* guard_name() { return kName; }

int write_guard_order(const GuardOrder& order) {
  std::string bytes;
  add(bytes, order.program);
  add(bytes, order.cwd);
  add(bytes, order.cgroup_list);
  add(bytes, order.arguments);
  add(bytes, order.environment);
  std::vector<std::string> limits;
  for (const auto& [resource, value] : order.limits) {
    limits.push_back(std::to_string(resource));
    limits.push_back(std::to_string(value));
  }
  add(bytes, limits);
  const int fd = ::memfd_create(kName, MFD_CLOEXEC);
  if (fd < 0) return -1;
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = ::write(fd, bytes.data() + done, bytes.size() - done);
    if (count <= 0) {
      ::close(fd);
      return -1;
    }
    done += static_cast<size_t>(count);
  }
  return fd;
}

}  // namespace swarm
