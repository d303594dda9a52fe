#include "mcp/auth/token_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include "engine/base/async/deadline.h"
#include "mcp/config/private_file.h"

namespace swarm::mcp {
namespace {

constexpr std::chrono::seconds kLockMax{10};
constexpr std::chrono::milliseconds kLockPause{20};

}  // namespace

Json TokenStore::load(const std::string& server) const {
  if (path_.empty()) {
    const auto found = memory_.find(server);
    return found == memory_.end() ? Json() : found->second;
  }
  const Json all = read_private_json(path_);
  if (all.is_null()) return nullptr;
  const auto found = all.find(server);
  return found == all.end() ? Json() : *found;
}

Result<void> TokenStore::save(const std::string& server, const Json& entry) {
  if (path_.empty()) {
    memory_[server] = entry;
    return {};
  }
  Json all = read_private_json(path_);
  all[server] = entry;
  return write_private_file(path_, dump_json(all) + "\n");
}

TokenStore::Lock::~Lock() {
  if (fd_ >= 0) ::close(fd_);
}

Async<TokenStore::Lock> TokenStore::lock() const {
  if (path_.empty()) co_return Lock(-1);
  const std::string name = path_ + ".lock";
  const int fd = ::open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, 0600);
  Lock held(fd);
  const Deadline deadline = Deadline::after(steady_clock(), kLockMax);
  while (fd >= 0 && ::flock(fd, LOCK_EX | LOCK_NB) != 0) {
    if (deadline.passed(steady_clock().now())) break;
    co_await wait_until(steady_clock(), steady_clock().now() + kLockPause);
  }
  co_return std::move(held);
}

}  // namespace swarm::mcp
