#include "tests/support/process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stdexcept>

#include "tests/support/support.h"

extern char** environ;

namespace swarm::test {
namespace {

using SteadyTime = std::chrono::steady_clock::time_point;

struct Pipes {
  int out = -1;
  int err = -1;
};

pid_t spawn(const std::vector<std::string>& command, const std::filesystem::path& input,
            Pipes& pipes) {
  int out[2], err[2];
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0)
    throw std::runtime_error("cannot make pipes");
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, 0, input.c_str(), O_RDONLY, 0);
  posix_spawn_file_actions_adddup2(&actions, out[1], 1);
  posix_spawn_file_actions_adddup2(&actions, err[1], 2);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  posix_spawnattr_setpgroup(&attributes, 0);
  std::vector<char*> argv;
  for (const std::string& part : command) argv.push_back(const_cast<char*>(part.c_str()));
  argv.push_back(nullptr);
  pid_t pid = 0;
  const int failed =
      posix_spawn(&pid, command[0].c_str(), &actions, &attributes, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  posix_spawnattr_destroy(&attributes);
  close(out[1]);
  close(err[1]);
  if (failed != 0) throw std::runtime_error("cannot start " + command[0]);
  pipes = {out[0], err[0]};
  return pid;
}

// Appends what can be read; false at the end of the stream.
bool drain(int fd, std::string& to) {
  char buffer[65536];
  const ssize_t got = read(fd, buffer, sizeof buffer);
  if (got > 0) to.append(buffer, static_cast<size_t>(got));
  return got > 0;
}

// Reads both streams until they end; true if the limit passed first.
bool collect(const Pipes& pipes, SteadyTime end, Finished& finished) {
  bool out_open = true, err_open = true;
  while (out_open || err_open) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        end - std::chrono::steady_clock::now());
    if (left.count() <= 0) return true;
    pollfd fds[2] = {{out_open ? pipes.out : -1, POLLIN, 0},
                     {err_open ? pipes.err : -1, POLLIN, 0}};
    poll(fds, 2, static_cast<int>(left.count()));
    if (fds[0].revents != 0) out_open = drain(pipes.out, finished.out);
    if (fds[1].revents != 0) err_open = drain(pipes.err, finished.err);
  }
  return false;
}

}  // namespace

Finished run_process(const std::vector<std::string>& command, const ProcessOptions& options) {
  const TempDir scratch;
  const auto input = scratch.path() / "stdin";
  write_file(input, options.input);
  Pipes pipes;
  const auto begin = std::chrono::steady_clock::now();
  const pid_t pid = spawn(command, input, pipes);
  if (options.while_running) options.while_running(pid);
  Finished finished;
  finished.timed_out = collect(pipes, begin + options.limit, finished);
  if (finished.timed_out) kill(-pid, SIGKILL);
  int status = 0;
  waitpid(pid, &status, 0);
  close(pipes.out);
  close(pipes.err);
  finished.code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  finished.wall = std::chrono::duration_cast<std::chrono::milliseconds>(
      std::chrono::steady_clock::now() - begin);
  return finished;
}

std::vector<pid_t> processes_mentioning(const std::string& text) {
  std::vector<pid_t> found;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    std::string line;
    try {
      line = read_file(entry.path() / "cmdline");
    } catch (const std::runtime_error&) {
      continue;  // It ended meanwhile.
    }
    if (line.find(text) != std::string::npos) found.push_back(static_cast<pid_t>(std::stoi(name)));
  }
  return found;
}

}  // namespace swarm::test
