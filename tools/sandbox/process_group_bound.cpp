#include "tools/sandbox/process_group_bound.h"

#include <unistd.h>

#include <cstdlib>
#include <fstream>
#include <iterator>
#include <sstream>

namespace swarm::tools::sandbox {
namespace {

std::string read_all(const char* path) {
  std::ifstream in(path, std::ios::binary);
  return std::string{std::istreambuf_iterator<char>(in), {}};
}

std::vector<std::string> split(std::string_view text, char mark) {
  std::vector<std::string> out;
  std::istringstream in{std::string(text)};
  for (std::string part; std::getline(in, part, mark);) out.push_back(part);
  return out;
}

bool has(const std::string& list, std::string_view name) {
  for (const std::string& one : split(list, ','))
    if (one == name) return true;
  return false;
}

// Our path in the hierarchy of the pids controller (v1) and in the unified one (v2); "" = none.
struct OwnPaths {
  std::string pids, unified;
};

OwnPaths own_paths(std::string_view cgroup) {
  OwnPaths own;
  for (const std::string& line : split(cgroup, '\n')) {     // 8:pids:/a or 0::/a
    const size_t first = line.find(':'), second = line.find(':', first + 1);
    if (first == std::string::npos || second == std::string::npos) continue;
    const std::string controllers = line.substr(first + 1, second - first - 1);
    if (controllers.empty()) own.unified = line.substr(second + 1);
    if (has(controllers, "pids")) own.pids = line.substr(second + 1);
  }
  return own;
}

bool write_value(const std::string& path, size_t value) {
  std::ofstream out(path);
  out << value << std::flush;
  return out.good();
}

}  // namespace

std::vector<std::string> pids_folders(std::string_view cgroup, std::string_view mountinfo) {
  const OwnPaths own = own_paths(cgroup);
  std::vector<std::string> out;
  for (const std::string& line : split(mountinfo, '\n')) {
    const size_t dash = line.find(" - ");
    if (dash == std::string::npos) continue;
    const std::vector<std::string> mount = split(line.substr(0, dash), ' ');
    const std::vector<std::string> kind = split(line.substr(dash + 3), ' ');
    if (mount.size() < 5 || kind.size() < 3) continue;      // .., root, mount point; type, source
    const bool v1 = kind[0] == "cgroup" && has(kind[2], "pids");
    if (!v1 && kind[0] != "cgroup2") continue;
    const std::string& path = v1 ? own.pids : own.unified;
    if (path.empty()) continue;
    const std::string& root = mount[3];
    const std::string& point = mount[4];
    if (path != root && path.rfind(root, 0) == 0)
      out.push_back(point + (root == "/" ? path : path.substr(root.size())));
    out.push_back(point);
  }
  return out;
}

std::optional<ProcessGroupBound> ProcessGroupBound::make(size_t processes_max) {
  if (::geteuid() != 0) return std::nullopt;
  const auto folders = pids_folders(read_all("/proc/self/cgroup"),
                                    read_all("/proc/self/mountinfo"));
  for (const std::string& folder : folders) {
    std::string path = folder + "/swarm-XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) continue;
    // A group of the unified hierarchy may lack the controller: then there is no such file.
    if (::access((path + "/pids.max").c_str(), W_OK) == 0 &&
        write_value(path + "/pids.max", processes_max))
      return ProcessGroupBound(path);
    ::rmdir(path.c_str());
  }
  return std::nullopt;
}

bool ProcessGroupBound::remove() {
  if (folder_.empty() || ::rmdir(folder_.c_str()) != 0) return folder_.empty();
  folder_.clear();
  return true;
}

}  // namespace swarm::tools::sandbox
