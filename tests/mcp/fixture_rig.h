// tests/mcp/fixture_rig.h — A session with fixture_server.cpp, a real process that misbehaves, and
// what it noted about itself and its wire. One session at a time.
#pragma once

#include <doctest/doctest.h>

#include <boost/asio/io_context.hpp>
#include <fstream>
#include <functional>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>

#include "engine/base/async/deadline.h"
#include "engine/base/async/run.h"
#include "mcp/mcp.h"
#include "tests/support/support.h"

namespace swarm::mcp::fixture {

using Body = std::function<Async<>(Session&)>;

// Gone, or dead and only waiting for init to notice (Z), or being noticed (X).
inline bool is_dead(int pid) {
  std::ifstream stat("/proc/" + std::to_string(pid) + "/stat");
  std::string text;
  std::getline(stat, text);            // nothing when it ends between opening and reading
  const size_t name_end = text.rfind(')');
  if (name_end == std::string::npos) return true;
  const std::string state = text.substr(name_end + 2, 1);
  return state == "Z" || state == "X";
}

// Whether it comes true within the limit.
inline bool soon(std::chrono::seconds limit, const std::function<bool()>& is_true) {
  const Deadline deadline = Deadline::after(steady_clock(), limit);
  while (!deadline.passed(steady_clock().now())) {
    if (is_true()) return true;
    std::this_thread::yield();
  }
  return false;
}

// SIGKILL is not instantaneous: looks again for a bounded time.
inline bool is_gone(int pid) {
  return soon(std::chrono::seconds(10), [&] { return is_dead(pid); });
}

struct Rig {
  test::TempDir dir;
  std::ostringstream log_text;
  Log log{log_text, LogLevel::debug};
  ServerConfig config;

  explicit Rig(const std::string& mode) {
    config.name = "fix";
    config.command = {MCP_FIXTURE_SERVER, mode};
    config.env["FIXTURE_LOG"] = (dir.path() / "log").string();
    config.start_timeout = std::chrono::seconds(60);
  }

  // Starts, runs body, stops. Returns the error of start() or of body, "" if there is none.
  std::string run(const Body& body = nullptr) {
    boost::asio::io_context context(1);
    const auto session = make_session(config, context.get_executor(), log);
    const auto root = [&]() -> Async<std::string> {
      std::string error;
      try {
        co_await session->start();
        if (body) co_await body(*session);
      } catch (const ErrorException& e) {
        error = e.error().message;
        CHECK(e.error().kind == ErrorKind::environment);
      }
      co_await session->stop();
      co_await session->stop();  // idempotent
      co_return error;
    };
    return run_root(context, root());
  }

  std::string wire() const { return test::read_file(dir.path() / "log"); }

  // The pid that the fixture noted for "server" or "grandchild".
  int pid_of(const std::string& kind) const {
    std::istringstream in(wire());
    for (std::string line; std::getline(in, line);)
      if (line.rfind(kind + " ", 0) == 0) return std::stoi(line.substr(kind.size() + 1));
    return -1;
  }
};

inline tools::Tool& tool(Session& session, const std::string& name) {
  for (const auto& one : session.tools())
    if (one->spec().name == name) return *one;
  throw std::runtime_error("no tool " + name);
}

inline Async<tools::ToolResult> call(Session& session, std::string name, Json arguments) {
  const tools::ToolContext context;
  co_return co_await tool(session, name).call(std::move(arguments), context);
}

}  // namespace swarm::mcp::fixture
