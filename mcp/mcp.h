// mcp/mcp.h — MCP client: a server process over stdio whose tools appear as tools::Tool.
// A Session belongs to one strand; it is started and stopped inside the nursery that owns it.
// Protocol: reference/mcp.md (legacy 2024-11-05 .. 2025-11-25 here; a later issue completes it).
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/async/task.h"
#include "engine/base/error.h"
#include "engine/base/log.h"
#include "tools/tool.h"

namespace swarm::mcp {

struct ServerConfig {
  std::string name;                               // [A-Za-z0-9_-]+; prefix of its tools
  std::vector<std::string> command;               // argv, no shell
  std::map<std::string, std::string> env;         // added to the whitelist of section 5
  std::string cwd;                                // "" = ours
  std::chrono::milliseconds start_timeout{30000};
  std::chrono::milliseconds call_timeout{60000};
  std::chrono::milliseconds stop_grace{2000};     // after closing stdin, and again after SIGTERM
  size_t message_bytes_max = size_t{16} << 20;    // one line from the server
  int32_t pages_max = 100;                        // tools/list pages
};

struct ServerInfo {
  std::string name, version, protocol_version, instructions;
};

class Session {
 public:
  virtual ~Session() = default;
  // Spawns in its own process group, negotiates the version, lists the tools. Throws
  // ErrorException{environment} naming the server, the cause and the tail of its stderr.
  virtual Async<void> start() = 0;
  virtual const ServerInfo& info() const = 0;
  // Public name: server + "__" + tool. Valid as long as the session.
  virtual std::vector<std::shared_ptr<tools::Tool>> tools() const = 0;
  // stdin closed, then SIGTERM and SIGKILL to the group, then reaped. Idempotent. Pending calls end
  // with an error. Never leaves a process behind. Call it through with_cleanup(): the co_await of a
  // cancelled coroutine would throw before stopping anything.
  virtual Async<void> stop() = 0;
};

// Must be used on `executor`'s thread, which lives as long as the server should: the server's
// parent-death signal follows the thread that called start(). log outlives the session and its
// tools. Every session that was started must be stopped before its executor's context ends.
// Ignores SIGPIPE in this process unless a handler is installed.
std::unique_ptr<Session> make_stdio_session(ServerConfig config, Executor executor, Log& log);

}  // namespace swarm::mcp
