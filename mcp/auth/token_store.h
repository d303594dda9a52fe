// mcp/auth/token_store.h — What was agreed with authorization servers, per MCP server: client ids,
// tokens. A JSON file of mode 0600 beside a lock file, so that several processes share one refresh;
// or memory only. Blocking, small files: call it where a few milliseconds do not matter.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "engine/base/async/task.h"
#include "engine/base/error.h"
#include "engine/base/json.h"

namespace swarm::mcp {

class TokenStore {
 public:
  // path: "" keeps everything in memory.
  explicit TokenStore(std::string path) : path_(std::move(path)) {}

  // null when nothing is known. A file that cannot be read counts as empty.
  Json load(const std::string& server) const;
  Result<void> save(const std::string& server, const Json& entry);

  // Holds the lock file while it lives; between processes, not inside one.
  class Lock {
   public:
    explicit Lock(int fd) : fd_(fd) {}
    Lock(Lock&& other) noexcept : fd_(other.fd_) { other.fd_ = -1; }
    Lock& operator=(Lock&&) = delete;
    ~Lock();

   private:
    int fd_;
  };
  // Waits for the lock for a bounded time, then goes on without it.
  Async<Lock> lock() const;

 private:
  const std::string path_;
  std::map<std::string, Json> memory_;
};

}  // namespace swarm::mcp
