#include "mcp/auth/token_store.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <iterator>

#include "engine/base/async/deadline.h"

namespace swarm::mcp {
namespace {

constexpr size_t kFileMax = size_t{4} << 20;
constexpr std::chrono::seconds kLockMax{10};
constexpr std::chrono::milliseconds kLockPause{20};

Json read_file(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  auto parsed = parse_json(text, {}, {.bytes_max = kFileMax});
  return parsed && parsed->is_object() ? std::move(*parsed) : Json::object();
}

// Written beside and renamed: a reader sees the old or the new file, never half of one.
Result<void> write_file(const std::string& path, const std::string& text) {
  const std::string fresh = path + ".new";
  const int fd = ::open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return environment_error(fresh + ": " + std::strerror(errno));
  ::fchmod(fd, 0600);
  size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = ::write(fd, text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    done += static_cast<size_t>(count);
  }
  const bool whole = done == text.size() && ::fsync(fd) == 0;
  ::close(fd);
  if (!whole || ::rename(fresh.c_str(), path.c_str()) != 0)
    return environment_error(path + ": " + std::strerror(errno));
  return {};
}

}  // namespace

Json TokenStore::load(const std::string& server) const {
  if (path_.empty()) {
    const auto found = memory_.find(server);
    return found == memory_.end() ? Json() : found->second;
  }
  const Json all = read_file(path_);
  const auto found = all.find(server);
  return found == all.end() ? Json() : *found;
}

Result<void> TokenStore::save(const std::string& server, const Json& entry) {
  if (path_.empty()) {
    memory_[server] = entry;
    return {};
  }
  Json all = read_file(path_);
  all[server] = entry;
  return write_file(path_, dump_json(all) + "\n");
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
