// Where a control group with a limit on processes is sought, and that the kernel keeps to it.
#include <doctest/doctest.h>
#include <poll.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>
#include <string>
#include <vector>

#include "engine/base/async/process.h"
#include "tests/support/support.h"
#include "tools/sandbox/process_group_bound.h"

using namespace swarm;
using namespace swarm::tools::sandbox;

TEST_CASE("process bound: folders of either hierarchy, ours before the top") {
  const char* v2 = "25 18 0:22 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate";
  CHECK(pids_folders("0::/user.slice/a.scope\n", v2) ==
        std::vector<std::string>{"/sys/fs/cgroup/user.slice/a.scope", "/sys/fs/cgroup"});
  CHECK(pids_folders("0::/\n", v2) == std::vector<std::string>{"/sys/fs/cgroup"});
  const char* v1 = "30 24 0:27 /docker/77 /sys/fs/cgroup/pids ro - cgroup cgroup rw,pids\n"
                   "31 24 0:28 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu,cpuacct\n";
  CHECK(pids_folders("8:pids:/docker/77/x\n4:cpu,cpuacct:/\n0::/\n", v1) ==
        std::vector<std::string>{"/sys/fs/cgroup/pids/x", "/sys/fs/cgroup/pids"});
  CHECK(pids_folders("", v1).empty());
  CHECK(pids_folders("8:pids:/\n", "nonsense\n - \n1 2 - cgroup2 x\n").empty());
}

TEST_CASE("process bound: the kernel refuses the process too many, also to the superuser") {
  auto bound = ProcessGroupBound::make(5);
  if (!bound) {                          // an ordinary user has RLIMIT_NPROC: sandbox_test.cpp
    MESSAGE("no control group can be made here");
    return;
  }
  SpawnOptions spawn;
  // The inner shell gives up at once; the outer one stays, or the guard would end what is left.
  spawn.command = {"/bin/sh", "-c",
                   "/bin/sh -c 'for i in 1 2 3 4 5 6 7 8; do sleep 20 & done'; exec sleep 20"};
  spawn.cgroup = bound->folder();
  Process child = Process::spawn(spawn).value();
  const int err = child.release_stderr();
  std::string said, piece(400, '\0');
  while (said.find("fork") == std::string::npos) {                 // it comes in pieces
    const ssize_t got = ::read(err, piece.data(), piece.size());
    if (got <= 0) break;
    said.append(piece, 0, static_cast<size_t>(got));
  }
  ::close(err);
  CHECK(said.find("fork") != std::string::npos);
  CHECK_FALSE(bound->remove());          // they run
  child.signal_group(SIGKILL);
  const std::string folder = bound->folder();
  for (int i = 0; i < 500 && !bound->remove(); ++i) ::poll(nullptr, 0, 10);
  CHECK_FALSE(std::filesystem::exists(folder));
}

TEST_CASE("process bound: a group that is not there is an error of the start") {
  SpawnOptions spawn;
  spawn.command = {"/bin/true"};
  spawn.cgroup = "/nowhere";
  const auto child = Process::spawn(spawn);
  REQUIRE(child.has_error());
  CHECK(child.error().message.find("No such file") != std::string::npos);
}
