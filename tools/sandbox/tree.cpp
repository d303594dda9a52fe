// The processes below one, from /proc. A process whose parent died hangs below the init of its
// process namespace, so nothing inside a sandbox leaves this tree.
#include <dirent.h>
#include <unistd.h>

#include <charconv>
#include <fstream>
#include <memory>
#include <sstream>
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

}  // namespace

TreeUse tree_use(int pid, size_t count_max) {
  TreeUse use;
  std::vector<int> open{pid};
  while (!open.empty() && use.processes <= count_max) {
    const std::string process = "/proc/" + std::to_string(open.back());
    open.pop_back();
    ++use.processes;
    use.memory_bytes += private_bytes(process);
    for (const std::string& thread : entries_of(process + "/task")) {
      std::ifstream in(process + "/task/" + thread + "/children");
      for (int child = 0; in >> child;) open.push_back(child);
    }
  }
  return use;
}

}  // namespace swarm::tools::sandbox
