#include "orchestrator/config/repetitions.h"

#include <set>

namespace swarm::config {
namespace {

// A manager called like a member: prompts, journal and live view could not tell them apart.
void check_manager(const Node& topology, const std::string& path, std::vector<Problem>& problems) {
  const Node& manager = child(topology, "manager");
  if (manager.kind != Node::Kind::map) return;
  const Node& given = child(manager, "name");
  if (!given.is_null() && (!given.is_text() || given.pending)) return;
  const std::string name = given.is_null() ? "Manager" : given.text();
  const Node& members = child(topology, "members");
  for (size_t i = 0; i < members.items.size(); ++i) {
    const Node& member = members.items[i];
    if (!member.is_text() || member.text() != name) continue;
    if (given.is_null())
      problems.push_back({path + ".members[" + std::to_string(i) + "]: the manager is called \"" +
                              name + "\", too; say manager.name",
                          member.place});
    else
      problems.push_back({path + ".manager.name: \"" + name + "\" is a member, too", given.place});
    return;
  }
}

void check_topology(const Node& topology, const std::string& path,
                    std::vector<Problem>& problems) {
  check_manager(topology, path, problems);
  for (const char* set : {"goals", "statuses"})
    check_repeated(child(child(topology, "manager"), set), path + ".manager." + set, problems);
  for (const char* set : {"query", "key"})
    check_repeated(child(child(topology, "descriptors"), set), path + ".descriptors." + set,
                   problems);
}

// Of two entries for one tool the first counts.
void check_tool_limits(const Node& limits, const std::string& path,
                       std::vector<Problem>& problems) {
  Node tools{.kind = Node::Kind::list};
  for (const Node& entry : limits.items) tools.items.push_back(child(entry, "tool"));
  check_repeated(tools, path, problems);
}

}  // namespace

void check_repeated(const Node& list, const std::string& path, std::vector<Problem>& problems) {
  std::set<std::string> seen;
  for (size_t i = 0; i < list.items.size(); ++i) {
    const Node& item = list.items[i];
    if (!item.is_text() || item.pending || seen.insert(item.text()).second) continue;
    problems.push_back({path + "[" + std::to_string(i) + "]: \"" + item.text() +
                            "\" is listed twice",
                        item.place});
  }
}

void check_repetitions(const Node& document, std::vector<Problem>& problems) {
  for (const Node::Field& agent : child(document, "agents").fields)
    check_repeated(child(agent.value, "tools"), "agents." + agent.key + ".tools", problems);
  for (const Node::Field& topology : child(document, "topologies").fields)
    check_topology(topology.value, "topologies." + topology.key, problems);
  for (const Node::Field& server : child(document, "mcp").fields)
    check_tool_limits(child(server.value, "tool_limits"), "mcp." + server.key + ".tool_limits",
                      problems);
}

}  // namespace swarm::config
