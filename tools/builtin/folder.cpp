#include "tools/builtin/folder.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstring>

#include "engine/base/utf8.h"

namespace swarm::tools::builtin {
namespace {

constexpr int kPathDepthMax = 64;

struct CloseFolder {
  void operator()(DIR* folder) const noexcept { ::closedir(folder); }
};

Error world(const std::string& path, int code) {
  if (code == ELOOP) return failed(quoted(path) + ": symbolic links are not followed");
  return failed(quoted(path) + ": " + std::strerror(code));
}

bool is_link(int at, const std::string& name) {
  struct stat info{};
  return ::fstatat(at, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISLNK(info.st_mode);
}

// An intermediate link shows as ENOTDIR because of O_DIRECTORY.
Result<Descriptor> open_one(int at, const std::string& name, int flags, const std::string& path) {
  Descriptor next(::openat(at, name.c_str(), flags | O_NOFOLLOW | O_CLOEXEC));
  if (next.get() >= 0) return next;
  const int code = errno;
  return world(path, is_link(at, name) ? ELOOP : code);
}

Result<void> write_all(int fd, const std::string& content, const std::string& path) {
  size_t done = 0;
  while (done < content.size()) {
    const ssize_t count = ::write(fd, content.data() + done, content.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return world(path, errno);
    done += static_cast<size_t>(count);
  }
  return {};
}

std::vector<Entry> entries_of(int fd) {
  std::vector<Entry> out;
  const int copy = ::openat(fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  const std::unique_ptr<DIR, CloseFolder> folder(copy < 0 ? nullptr : ::fdopendir(copy));
  if (!folder) return out;
  while (const dirent* found = ::readdir(folder.get())) {
    const std::string name = found->d_name;
    struct stat info{};
    if (name == "." || name == ".." ||
        ::fstatat(fd, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
      continue;
    const char kind = S_ISREG(info.st_mode)   ? 'f'
                      : S_ISDIR(info.st_mode) ? 'd'
                      : S_ISLNK(info.st_mode) ? 'l'
                                              : 'o';
    out.push_back({.path = name, .kind = kind, .bytes = info.st_size});
    if (out.size() > Folder::kWalkMax) break;
  }
  std::sort(out.begin(), out.end(), [](const Entry& a, const Entry& b) { return a.path < b.path; });
  return out;
}

// count: entries visited so far. False: end.
bool walk_below(int fd, const std::string& prefix, int depth, size_t& count,
                const std::function<bool(const Entry&)>& visit) {
  for (Entry& entry : entries_of(fd)) {
    if (++count > Folder::kWalkMax) return false;
    const std::string name = entry.path;
    entry.path = prefix + name;
    if (!visit(entry)) return false;
    if (entry.kind != 'd' || depth >= kPathDepthMax) continue;
    const Descriptor below(
        ::openat(fd, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
    if (below.get() < 0) continue;  // not ours to read, or gone
    if (!walk_below(below.get(), entry.path + "/", depth + 1, count, visit)) return false;
  }
  return true;
}

}  // namespace

std::string quoted(const std::string& path) { return "\"" + path + "\""; }

Descriptor::~Descriptor() {
  if (fd_ >= 0) ::close(fd_);
}

Result<std::shared_ptr<Folder>> Folder::open(const std::string& root, const std::string& who) {
  if (root.empty()) return invalid_input(who + ": expected a root folder, found none");
  Descriptor folder(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0)
    return environment_error(who + ": root " + quoted(root) + ": " + std::strerror(errno));
  return std::make_shared<Folder>(std::move(folder));
}

Result<Folder::Spot> Folder::locate(const std::string& path, bool make_folders) const {
  if (path.empty() || path[0] == '/' || path.find('\0') != std::string::npos)
    return invalid_input("path: expected a path relative to the root folder, found " +
                         quoted(path));
  Spot spot{Descriptor(::fcntl(root_.get(), F_DUPFD_CLOEXEC, 0)), "."};
  size_t begin = 0;
  while (begin < path.size()) {
    const size_t end = std::min(path.find('/', begin), path.size());
    std::string part = path.substr(begin, end - begin);
    begin = end + 1;
    if (part.empty() || part == ".") continue;
    if (part == "..") return invalid_input(quoted(path) + " leads out of the root folder");
    if (spot.name != ".") {
      if (make_folders && ::mkdirat(spot.parent.get(), spot.name.c_str(), 0777) != 0 &&
          errno != EEXIST)
        return world(path, errno);
      SWARM_TRY(Descriptor next,
                open_one(spot.parent.get(), spot.name, O_RDONLY | O_DIRECTORY, path));
      spot.parent = std::move(next);
    }
    spot.name = std::move(part);
  }
  return spot;
}

Result<Descriptor> Folder::open_below(const std::string& path, bool folder) const {
  SWARM_TRY(const Spot spot, locate(path, false));
  // O_NONBLOCK: opening a FIFO must not hang.
  return open_one(spot.parent.get(), spot.name,
                  O_RDONLY | (folder ? O_DIRECTORY : O_NONBLOCK), path);
}

Result<std::string> Folder::read_text(const std::string& path) const {
  SWARM_TRY(const Descriptor file, open_below(path, false));
  struct stat info{};
  if (::fstat(file.get(), &info) != 0) return world(path, errno);
  if (S_ISDIR(info.st_mode)) return failed(quoted(path) + " is a folder");
  if (!S_ISREG(info.st_mode)) return failed(quoted(path) + " is not a regular file");
  if (info.st_size > kFileBytesMax)
    return failed(quoted(path) + ": expected at most " + std::to_string(kFileBytesMax) +
                  " bytes, found " + std::to_string(info.st_size));
  std::string content(static_cast<size_t>(info.st_size), '\0');
  size_t got = 0;
  while (got < content.size()) {
    const ssize_t count = ::read(file.get(), content.data() + got, content.size() - got);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return world(path, errno);
    if (count == 0) break;  // it shrank meanwhile
    got += static_cast<size_t>(count);
  }
  content.resize(got);
  if (content.find('\0') != std::string::npos || !utf8_is_valid(content))
    return failed(quoted(path) + " is not a text file");
  return content;
}

Result<void> Folder::write(const std::string& path, const std::string& content) const {
  if (content.size() > static_cast<size_t>(kFileBytesMax))
    return failed("content: expected at most " + std::to_string(kFileBytesMax) + " bytes, found " +
                  std::to_string(content.size()));
  SWARM_TRY(const Spot spot, locate(path, true));
  if (spot.name == ".") return failed(quoted(path) + " is a folder");
  const int at = spot.parent.get();
  struct stat info{};
  mode_t mode = 0666;
  if (::fstatat(at, spot.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) {
    if (S_ISLNK(info.st_mode)) return world(path, ELOOP);
    if (S_ISDIR(info.st_mode)) return failed(quoted(path) + " is a folder");
    if (!S_ISREG(info.st_mode)) return failed(quoted(path) + " is not a regular file");
    mode = info.st_mode & 07777;
  }
  // A name of its own per process and call; a leftover of a crash is in nobody's way.
  static std::atomic<unsigned> counter{0};
  const std::string draft = ".swarm-write-" + std::to_string(::getpid()) + "-" +
                            std::to_string(counter.fetch_add(1));
  const Descriptor file(
      ::openat(at, draft.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
  if (file.get() < 0) return world(path, errno);
  Result<void> written = write_all(file.get(), content, path);
  if (written && ::renameat(at, draft.c_str(), at, spot.name.c_str()) != 0)
    written = world(path, errno);
  if (!written) ::unlinkat(at, draft.c_str(), 0);
  return written;
}

Result<Folder::Listing> Folder::list(const std::string& path, size_t count_max) const {
  SWARM_TRY(const Descriptor folder, open_below(path, true));
  Listing out;
  out.entries = entries_of(folder.get());
  out.more = out.entries.size() > count_max;
  if (out.more) out.entries.resize(count_max);
  return out;
}

Result<bool> Folder::walk(const std::string& path,
                          const std::function<bool(const Entry&)>& visit) const {
  SWARM_TRY(const Descriptor folder, open_below(path, true));
  std::string prefix;
  for (size_t begin = 0; begin < path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string part = path.substr(begin, end - begin);
    if (!part.empty() && part != ".") prefix += part + "/";
    begin = end + 1;
  }
  size_t count = 0;
  walk_below(folder.get(), prefix, 0, count, visit);
  return count <= kWalkMax;
}

}  // namespace swarm::tools::builtin
