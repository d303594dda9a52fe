#include "mcp/config/private_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace swarm::mcp {
namespace {

constexpr size_t kFileMax = size_t{16} << 20;

Error cannot_write(const std::string& path) {
  return environment_error("cannot write \"" + path + "\": " + std::strerror(errno));
}

}  // namespace

Result<int> create_private_file(const std::string& path) {
  const std::filesystem::path folder = std::filesystem::path(path).parent_path();
  std::error_code ignored;
  if (!folder.empty()) std::filesystem::create_directories(folder, ignored);
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
  if (fd < 0) return cannot_write(path);
  ::fchmod(fd, 0600);
  return fd;
}

bool write_all(int fd, const std::string& text) {
  for (size_t done = 0; done < text.size();) {
    const ssize_t count = ::write(fd, text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return false;
    done += static_cast<size_t>(count);
  }
  return true;
}

Result<void> write_private_file(const std::string& path, const std::string& text) {
  const std::string fresh = path + "." + std::to_string(::getpid()) + ".new";
  SWARM_TRY(const int fd, create_private_file(fresh));
  const bool whole = write_all(fd, text) && ::fsync(fd) == 0;
  const int why = errno;
  ::close(fd);
  if (whole && std::rename(fresh.c_str(), path.c_str()) == 0) return {};
  if (!whole) errno = why;
  const Error error = cannot_write(path);
  ::unlink(fresh.c_str());
  return error;
}

Json read_private_json(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  if (!in) return nullptr;
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  auto parsed = parse_json(text, {}, {.bytes_max = kFileMax});
  return parsed && parsed->is_object() ? std::move(*parsed) : Json();
}

}  // namespace swarm::mcp
