#include "orchestrator/config/usage.h"

namespace swarm::config {

std::set<std::string> agents_at_work(const Config& config) {
  std::set<std::string> out;
  for (const TaskEntry& task : config.tasks) {
    if (task.kind == TaskEntry::Kind::agent) out.insert(task.target);
    if (task.kind != TaskEntry::Kind::topology) continue;
    for (const TopologyEntry& topology : config.topologies)
      if (topology.name == task.target)
        out.insert(topology.members.begin(), topology.members.end());
  }
  return out;
}

}  // namespace swarm::config
