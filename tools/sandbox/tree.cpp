// The processes below one, from /proc, and what a folder takes on disk. A process whose parent died
// hangs below the init of its process namespace, so nothing inside a sandbox leaves this tree.
#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <charconv>
#include <fstream>
#include <memory>
#include <set>
#include <sstream>
#include <utility>
#include <vector>

#include "tools/sandbox/child.h"

namespace swarm::tools::sandbox {
namespace {

struct CloseFolder {
  void operator()(DIR* folder) const noexcept { ::closedir(folder); }
};

std::vector<std::string> entries_of(const std::string& path) {
  std::vector<std::string> out;
  const std::unique_ptr<DIR, CloseFolder> folder(::opendir(path.c_str()));
  if (!folder) return out;  // it ended meanwhile
  while (const dirent* entry = ::readdir(folder.get()))
    if (entry->d_name[0] != '.') out.emplace_back(entry->d_name);
  return out;
}

uint64_t private_bytes(const std::string& process) {
  std::ifstream in(process + "/statm");
  uint64_t size = 0, resident = 0, shared = 0;
  if (!(in >> size >> resident >> shared) || shared > resident) return 0;
  return (resident - shared) * static_cast<uint64_t>(::sysconf(_SC_PAGESIZE));
}

// visit(pid) for a process and its descendants, until it says false.
template <class Visit>
void walk_tree(int pid, const Visit& visit) {
  std::vector<int> open{pid};
  while (!open.empty()) {
    const int next = open.back();
    open.pop_back();
    if (!visit(next)) return;
    const std::string process = "/proc/" + std::to_string(next);
    for (const std::string& thread : entries_of(process + "/task")) {
      std::ifstream in(process + "/task/" + thread + "/children");
      for (int child = 0; in >> child;) open.push_back(child);
    }
  }
}

constexpr uint64_t kBlock = 512;           // of st_blocks, whatever the file system's own is

// Folders are opened one in another: a program that moves them while we look leads us nowhere else.
class DiskWalk {
 public:
  DiskWalk(const DiskLimits& limits, DiskUse& use) : limits_(limits), use_(use) {}

  void below(int parent, const char* name, int depth) {
    constexpr int kDepthMax = 256;
    const int fd = ::openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    const std::unique_ptr<DIR, CloseFolder> folder(fd < 0 ? nullptr : ::fdopendir(fd));
    if (!folder) return;
    while (const dirent* entry = ::readdir(folder.get())) {
      const std::string_view child = entry->d_name;
      if (child == "." || child == "..") continue;
      struct stat info{};
      if (::fstatat(fd, entry->d_name, &info, AT_SYMLINK_NOFOLLOW) != 0) continue;
      ++use_.entries;
      use_.bytes += static_cast<uint64_t>(info.st_blocks) * kBlock;
      if (use_.bytes > limits_.bytes || use_.entries > limits_.entries) return;
      if (S_ISDIR(info.st_mode) && depth < kDepthMax) below(fd, entry->d_name, depth + 1);
    }
  }

 private:
  const DiskLimits& limits_;
  DiskUse& use_;
};

// Deleted files of that disk which the tree keeps open, each once.
uint64_t deleted_bytes(int pid, dev_t disk) {
  std::set<ino_t> seen;
  uint64_t bytes = 0;
  walk_tree(pid, [&](int process) {
    const std::string folder = "/proc/" + std::to_string(process) + "/fd";
    for (const std::string& number : entries_of(folder)) {
      struct stat info{};
      if (::stat((folder + "/" + number).c_str(), &info) != 0 || info.st_nlink != 0 ||
          !S_ISREG(info.st_mode) || info.st_dev != disk || !seen.insert(info.st_ino).second)
        continue;
      bytes += static_cast<uint64_t>(info.st_blocks) * kBlock;
    }
    return true;
  });
  return bytes;
}

}  // namespace

TreeUse tree_use(int pid, size_t count_max) {
  TreeUse use;
  walk_tree(pid, [&](int process) {
    ++use.processes;
    use.memory_bytes += private_bytes("/proc/" + std::to_string(process));
    return use.processes <= count_max;
  });
  return use;
}

DiskUse disk_use(const std::string& folder, const DiskLimits& limits, int pid) {
  DiskUse use;
  struct stat info{};
  if (::stat(folder.c_str(), &info) != 0) return use;
  DiskWalk(limits, use).below(AT_FDCWD, folder.c_str(), 0);
  if (pid != 0 && use.bytes <= limits.bytes) use.bytes += deleted_bytes(pid, info.st_dev);
  return use;
}

}  // namespace swarm::tools::sandbox
