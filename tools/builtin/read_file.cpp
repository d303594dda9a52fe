// Confinement: the root is opened once; a path is walked from there component by component with
// openat(O_NOFOLLOW), so neither "..", nor a symbolic link, nor a race between check and use leads
// out. Linux resolves nothing by name that we have not opened ourselves.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "engine/base/utf8.h"
#include "tools/builtin/builtin.h"

namespace swarm::tools::builtin {
namespace {

constexpr off_t kFileBytesMax = off_t{16} << 20;
constexpr size_t kLinesDefault = 400;

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }

 private:
  int fd_;
};

ToolResult problem(std::string text) {
  return ToolResult{.text = std::move(text), .is_error = true, .truncated = false};
}

std::string quoted(const std::string& path) { return "\"" + path + "\""; }

Error open_error(const std::string& path, int code) {
  if (code == ELOOP) return failed(quoted(path) + ": symbolic links are not followed");
  return failed(quoted(path) + ": " + std::strerror(code));
}

Result<Descriptor> open_below(int root, const std::string& path) {
  if (path.empty() || path[0] == '/' || path.find('\0') != std::string::npos)
    return invalid_input("path: expected a path relative to the root folder, found " +
                         quoted(path));
  Descriptor at(::fcntl(root, F_DUPFD_CLOEXEC, 0));
  size_t begin = 0;
  while (begin < path.size()) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string part = path.substr(begin, end - begin);
    const bool last = path.find_first_not_of('/', end) == std::string::npos;
    begin = end + 1;
    if (part.empty() || part == ".") continue;
    if (part == "..") return invalid_input(quoted(path) + " leads out of the root folder");
    // O_NONBLOCK: opening a FIFO must not hang.
    const int flags = O_RDONLY | O_NOFOLLOW | O_CLOEXEC | (last ? O_NONBLOCK : O_DIRECTORY);
    Descriptor next(::openat(at.get(), part.c_str(), flags));
    if (next.get() < 0) {
      // An intermediate link shows as ENOTDIR because of O_DIRECTORY.
      struct stat info{};
      const int code = errno;
      const bool link = ::fstatat(at.get(), part.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 &&
                        S_ISLNK(info.st_mode);
      return open_error(path, link ? ELOOP : code);
    }
    at = std::move(next);
  }
  return at;
}

Result<std::string> read_whole(int fd, const std::string& path) {
  struct stat info{};
  if (::fstat(fd, &info) != 0) return open_error(path, errno);
  if (S_ISDIR(info.st_mode)) return failed(quoted(path) + " is a folder");
  if (!S_ISREG(info.st_mode)) return failed(quoted(path) + " is not a regular file");
  if (info.st_size > kFileBytesMax)
    return failed(quoted(path) + ": expected at most " + std::to_string(kFileBytesMax) +
                  " bytes, found " + std::to_string(info.st_size));
  std::string content(static_cast<size_t>(info.st_size), '\0');
  size_t got = 0;
  while (got < content.size()) {
    const ssize_t count = ::read(fd, content.data() + got, content.size() - got);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return open_error(path, errno);
    if (count == 0) break;  // it shrank meanwhile
    got += static_cast<size_t>(count);
  }
  content.resize(got);
  if (content.find('\0') != std::string::npos || !utf8_is_valid(content))
    return failed(quoted(path) + " is not a text file");
  return content;
}

// Lines [offset, offset + limit), counted from 1.
ToolResult slice(const std::string& content, size_t offset, size_t limit) {
  size_t line = 1, begin = 0;
  while (line < offset && begin < content.size()) {
    begin = std::min(content.find('\n', begin), content.size() - 1) + 1;
    ++line;
  }
  if (line < offset || (begin >= content.size() && offset > 1))
    return problem("offset: the file ends before line " + std::to_string(offset));
  size_t end = begin;
  for (size_t taken = 0; taken < limit && end < content.size(); ++taken)
    end = std::min(content.find('\n', end), content.size() - 1) + 1;
  ToolResult result{.text = content.substr(begin, end - begin)};
  if (end < content.size()) {
    const auto left = std::count(content.begin() + static_cast<ptrdiff_t>(end), content.end(),
                                 '\n') + (content.back() == '\n' ? 0 : 1);
    result.text += "[" + std::to_string(left) + " more lines; continue with offset " +
                   std::to_string(offset + limit) + "]";
    result.truncated = true;
  }
  return result;
}

class ReadFile final : public Tool {
 public:
  explicit ReadFile(Descriptor root) : root_(std::move(root)) {
    spec_.name = "read_file";
    spec_.description =
        "Reads a text file, or a range of its lines. Paths are relative to the root folder.";
    const Json count = {{"type", "integer"}, {"minimum", 1}, {"maximum", 1000000000}};
    spec_.parameters =
        Json{{"type", "object"},
             {"properties", {{"path", {{"type", "string"}}}, {"offset", count}, {"limit", count}}},
             {"required", Json::array({"path"})},
             {"additionalProperties", false}};
    spec_.effect = Effect::read;
    spec_.origin = "builtin";
  }
  const ToolSpec& spec() const override { return spec_; }
  // Reads on the caller's thread: at most kFileBytesMax from a local disk.
  Async<ToolResult> call(Json arguments, ToolContext) override {
    const std::string path = arguments.at("path").get<std::string>();
    const auto offset = static_cast<size_t>(arguments.value("offset", 1.0));
    const auto limit =
        static_cast<size_t>(arguments.value("limit", static_cast<double>(kLinesDefault)));
    const auto file = open_below(root_.get(), path);
    if (!file) co_return problem(file.error().message);
    const auto content = read_whole(file->get(), path);
    if (!content) co_return problem(content.error().message);
    co_return slice(*content, offset, limit);
  }

 private:
  ToolSpec spec_;
  Descriptor root_;
};

}  // namespace

Result<std::shared_ptr<Tool>> make_read_file(const std::string& root) {
  if (root.empty()) return invalid_input("read_file: expected a root folder, found none");
  Descriptor folder(::open(root.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (folder.get() < 0)
    return environment_error("read_file: root " + quoted(root) + ": " + std::strerror(errno));
  return std::make_shared<ReadFile>(std::move(folder));
}

}  // namespace swarm::tools::builtin
