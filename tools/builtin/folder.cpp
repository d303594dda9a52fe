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

bool is_missing(int at, const std::string& name) {
  struct stat info{};
  return ::fstatat(at, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 && errno == ENOENT;
}

Result<void> make_folder(int at, const std::string& name, const std::string& path,
                         Growth& growth) {
  SWARM_TRY_VOID(growth.room_for(0, Growth::kBlock));
  if (::mkdirat(at, name.c_str(), 0777) == 0)
    growth.replace(0, Growth::kBlock);
  else if (errno != EEXIST)
    return world(path, errno);
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

Result<void> Growth::room_for(uint64_t before, uint64_t after) const {
  if (after <= before || *bytes_ + (after - before) <= bytes_max_) return {};
  return failed("not written: in this run the root folder has grown by " + std::to_string(*bytes_) +
                " bytes on disk and may grow by " + std::to_string(bytes_max_) +
                " in all; put less into files that are there");
}

void Growth::replace(uint64_t before, uint64_t after) {
  *bytes_ += after;
  *bytes_ -= std::min(*bytes_, before);
}

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

Result<Folder::Spot> Folder::locate(const std::string& path, Growth* growth) const {
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
      if (growth != nullptr && is_missing(spot.parent.get(), spot.name))
        SWARM_TRY_VOID(make_folder(spot.parent.get(), spot.name, path, *growth));
      SWARM_TRY(Descriptor next,
                open_one(spot.parent.get(), spot.name, O_RDONLY | O_DIRECTORY, path));
      spot.parent = std::move(next);
    }
    spot.name = std::move(part);
  }
  return spot;
}

Result<Descriptor> Folder::open_below(const std::string& path, bool folder) const {
  SWARM_TRY(const Spot spot, locate(path, nullptr));
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

Result<void> Folder::write(const std::string& path, const std::string& content,
                           Growth& growth) const {
  if (content.size() > static_cast<size_t>(kFileBytesMax))
    return failed("content: expected at most " + std::to_string(kFileBytesMax) + " bytes, found " +
                  std::to_string(content.size()));
  SWARM_TRY(const Spot spot, locate(path, &growth));
  if (spot.name == ".") return failed(quoted(path) + " is a folder");
  const int at = spot.parent.get();
  struct stat info{};
  mode_t mode = 0666;
  uint64_t before = 0, after = Growth::on_disk(content.size());
  if (::fstatat(at, spot.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0) {
    if (S_ISLNK(info.st_mode)) return world(path, ELOOP);
    if (S_ISDIR(info.st_mode)) return failed(quoted(path) + " is a folder");
    if (!S_ISREG(info.st_mode)) return failed(quoted(path) + " is not a regular file");
    mode = info.st_mode & 07777;
    // What has another name stays on the disk under that.
    if (info.st_nlink == 1) before = Growth::on_disk(static_cast<uint64_t>(info.st_size));
  } else {
    after += Growth::kBlock;
  }
  SWARM_TRY_VOID(growth.room_for(before, after));
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
  if (written)
    growth.replace(before, after);
  else
    ::unlinkat(at, draft.c_str(), 0);
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
