// Nothing outlives us: not when we stop, not when we crash, not when we are killed.
#include <doctest/doctest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <boost/asio/io_context.hpp>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include "engine/base/async/channel.h"
#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "engine/base/async/run.h"
#include "mcp/mcp.h"
#include "tests/mcp/fixture_rig.h"

namespace swarm::mcp {
namespace {

using fixture::is_gone, fixture::soon;

struct Scene : fixture::Rig {
  explicit Scene(const std::string& mode) : Rig(mode) {
    config.stop_grace = std::chrono::milliseconds(100);
  }

  // The pid that the fixture noted, once it did; -1 when it does not.
  int pid_of(const std::string& kind) const {
    int pid = -1;
    noted([&] { return (pid = Rig::pid_of(kind)) != -1; });
    return pid;
  }
  bool heard(const std::string& what) const {
    return noted([&] { return wire().find(what) != std::string::npos; });
  }

 private:
  bool noted(const std::function<bool()>& is_there) const {
    return soon(std::chrono::seconds(60), [&] {
      return std::filesystem::exists(dir.path() / "log") && is_there();
    });
  }
};

// A process of its own that starts the server and then waits for ever.
int fork_owner(Scene& scene) {
  const pid_t pid = ::fork();
  if (pid != 0) return pid;
  boost::asio::io_context context(1);
  const auto session = make_session(scene.config, context.get_executor(), scene.log);
  const auto root = [&]() -> Async<> {
    co_await session->start();
    Channel<bool> never{0};
    co_await never.receive();
  };
  run_root(context, root());
  ::_exit(0);
}

void kill_and_reap(int pid, int signal) {
  ::kill(pid, signal);
  while (::waitpid(pid, nullptr, 0) < 0 && errno == EINTR) {
  }
}

}  // namespace

TEST_CASE("mcp: killing us leaves no server, no grandchild and no daemon of it") {
  for (const char* mode : {"normal", "grandchild", "daemon", "stubborn", "ignore_term"}) {
    CAPTURE(std::string(mode));
    Scene scene(mode);
    const int owner = fork_owner(scene);
    REQUIRE(owner > 0);
    REQUIRE(scene.heard("tools/list"));
    kill_and_reap(owner, SIGKILL);
    CHECK(is_gone(scene.pid_of("server")));
    if (std::string(mode) == "grandchild") CHECK(is_gone(scene.pid_of("grandchild")));
    const bool daemon = std::string(mode) == "daemon" || std::string(mode) == "stubborn";
    if (daemon) CHECK(is_gone(scene.pid_of("daemon")));
  }
}

TEST_CASE("mcp: killing us during the start leaves nobody either") {
  Scene scene("silent");
  const int owner = fork_owner(scene);
  REQUIRE(owner > 0);
  REQUIRE(scene.heard("server/discover"));
  kill_and_reap(owner, SIGKILL);
  CHECK(is_gone(scene.pid_of("server")));
}

TEST_CASE("mcp: stopping a session ends the daemons its server left") {
  for (const char* mode : {"daemon", "stubborn"}) {
    CAPTURE(std::string(mode));
    Scene scene(mode);
    boost::asio::io_context context(1);
    const auto session = make_session(scene.config, context.get_executor(), scene.log);
    const auto root = [&]() -> Async<> {
      co_await session->start();
      co_await session->stop();
    };
    run_root(context, root());
    CHECK(is_gone(scene.pid_of("server")));
    CHECK(is_gone(scene.pid_of("daemon")));
  }
}

TEST_CASE("mcp: a server killed by somebody else takes its daemons along, and its end is told") {
  Scene scene("daemon");
  scene.config.restarts_max = 0;
  boost::asio::io_context context(1);
  const auto client = make_client(scene.config, context.get_executor(), scene.log);
  std::string error;
  const auto root = [&]() -> Async<> {
    co_await client->start();
    ::kill(scene.pid_of("server"), SIGKILL);
    try {
      const CallOptions options;
      co_await client->call_tool("hang", Json::object(), options);
    } catch (const ErrorException& e) {
      error = e.error().message;
    }
    co_await client->stop();
  };
  run_root(context, root());
  CHECK(error == "mcp server \"fix\": it ended with signal 9");
  CHECK(is_gone(scene.pid_of("daemon")));
}

}  // namespace swarm::mcp
