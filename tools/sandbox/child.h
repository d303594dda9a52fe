// tools/sandbox/child.h — A child process from its start to its end, bounded: time, output, number
// of processes and memory of its whole tree, and how far it fills a folder. Both are looked at
// every few milliseconds, because no per-process limit bounds a sum and the kernel exempts the
// superuser from RLIMIT_NPROC.
// Every path out of run_child() has killed the process group and reaped the child.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "engine/base/async/process.h"
#include "engine/base/async/task.h"

namespace swarm::tools::sandbox {

struct ChildLimits {
  std::chrono::milliseconds wall{30000};
  size_t output_bytes_max = 256 * 1024;           // kept of each stream: its begin and its end
  uint64_t output_bytes_stop = uint64_t{64} << 20;  // of both; the child is stopped beyond
  size_t processes_max = 64;
  uint64_t memory_bytes_max = uint64_t{1} << 30;  // resident and private, of all processes
  std::string folder = {};                        // where it may write; "" = nowhere
  uint64_t folder_bytes_max = UINT64_MAX;         // in it, what was there before included
  uint64_t folder_entries_max = UINT64_MAX;
};

// What is kept of a stream of bytes: the first and the last half of bytes_max.
class Excerpt {
 public:
  explicit Excerpt(size_t bytes_max) : half_(bytes_max / 2) {}
  void add(std::string_view bytes);
  uint64_t total() const { return total_; }
  // Takes text away from the begin; false when it does not begin so.
  bool drop_prefix(std::string_view text);
  // Valid UTF-8; says how much is missing in the middle.
  std::string text() const;

 private:
  size_t half_;
  uint64_t total_ = 0;
  std::string head_, tail_;
};

enum class Stopped : uint8_t { no, wall, output, processes, memory, disk };

struct ChildResult {
  ChildResult() : ChildResult(ChildLimits{}) {}
  explicit ChildResult(const ChildLimits& limits)
      : out(limits.output_bytes_max), err(limits.output_bytes_max) {}
  Excerpt out, err;
  ProcessEnd end;
  Stopped stopped = Stopped::no;
};

// input goes to its standard input, which is then closed. Throws ErrorException{environment} when
// it cannot be started.
Async<ChildResult> run_child(SpawnOptions spawn, std::string input, ChildLimits limits);

// Descendants of a process, itself included; counting ends above count_max.
struct TreeUse {
  size_t processes = 0;
  uint64_t memory_bytes = 0;
};
TreeUse tree_use(int pid, size_t count_max);

// What a folder takes on its disk: blocks of all files below it, links not followed, and how many
// entries there are. With `pid`, also files that were deleted and are still open in its tree.
// Counting ends above the limits. A file that is only mapped any more is not seen.
struct DiskUse {
  uint64_t bytes = 0;
  uint64_t entries = 0;
};
struct DiskLimits {
  uint64_t bytes = UINT64_MAX;
  uint64_t entries = UINT64_MAX;
};
DiskUse disk_use(const std::string& folder, const DiskLimits& limits, int pid = 0);

}  // namespace swarm::tools::sandbox
