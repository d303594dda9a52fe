// engine/base/async/guard.h — The process between us and a child: it starts it, adopts whatever the
// child's descendants leave behind (child subreaper), and kills all of them when the child has
// ended or when we have, however that came about. It is our own program, executed again under
// another name: a constructor takes over before main(). Linux with /proc.
//
// Descriptors it inherits: 0-2 for the child, 3 an errno if the child cannot be executed, 4 the
// lifeline (end of file = we are gone or want an end), 5 the order. It ends like the child did.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

namespace swarm {

struct GuardOrder {
  std::string program, cwd;
  std::vector<std::string> arguments;    // of the child, its name first
  std::vector<std::string> environment;  // NAME=value
  std::vector<std::pair<int, uint64_t>> limits;  // RLIMIT_*, soft and hard
  std::string cgroup_list;               // where the child enters a control group; "" = nowhere
};

inline constexpr int kGuardReport = 3, kGuardLifeline = 4, kGuardOrder = 5;

// argv[0] by which the program knows that it is a guard. Referring to it links the constructor.
const char* guard_name();
// An anonymous file with the order, close-on-exec, read from its beginning; -1 on failure (errno).
int write_guard_order(const GuardOrder& order);

}  // namespace swarm
