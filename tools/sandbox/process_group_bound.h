// tools/sandbox/process_group_bound.h — A hard bound on the number of processes, by the kernel: a
// control group of its own (pids controller, cgroup v1 or v2) that a child enters before its first
// instruction. Needed where RLIMIT_NPROC does not hold: the kernel exempts the superuser from it.
// Formats: /proc/self/cgroup and /proc/self/mountinfo, cgroups(7), proc(5). Owner: one child.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace swarm::tools::sandbox {

class ProcessGroupBound {
 public:
  // nullopt where no such group can be made: not the superuser, no controller, read-only folder.
  static std::optional<ProcessGroupBound> make(size_t processes_max);
  ProcessGroupBound(ProcessGroupBound&& other) noexcept : folder_(std::move(other.folder_)) {
    other.folder_.clear();
  }
  ProcessGroupBound& operator=(ProcessGroupBound&&) = delete;
  // Tries once more; an empty group that stays costs nothing but its name.
  ~ProcessGroupBound() { remove(); }

  // False while the kernel still has a process in the group.
  bool remove();

  // What SpawnOptions::cgroup wants.
  const std::string& folder() const { return folder_; }

 private:
  explicit ProcessGroupBound(std::string folder) : folder_(std::move(folder)) {}
  std::string folder_;
};

// Folders in which a group may be tried, best first: ours, then the top of the hierarchy; the first
// text is /proc/self/cgroup, the second /proc/self/mountinfo.
std::vector<std::string> pids_folders(std::string_view cgroup, std::string_view mountinfo);

}  // namespace swarm::tools::sandbox
