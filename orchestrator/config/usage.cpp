#include "orchestrator/config/usage.h"

#include "orchestrator/config/expression.h"
#include "orchestrator/config/schema.h"

namespace swarm::config {
namespace {

void read_text(const Node& node, std::set<std::string>& out) {
  if (!node.is_text()) return;
  const Result<std::vector<Reference>> found = references_in(node.scalar);
  if (!found) return;                // reported where it is evaluated
  for (const Reference& one : *found)
    if (one.path[0] == "inputs" && one.path.size() > 1) out.insert(one.path[1]);
}

// Values that the run evaluates: of any type, and every text inside counts.
void read_all(const Node& node, std::set<std::string>& out) {
  read_text(node, out);
  for (const Node& item : node.items) read_all(item, out);
  for (const Node::Field& field : node.fields) read_all(field.value, out);
}

// The way in which the loader evaluates a document: schemas and the like are literal.
void read_typed(const Node& node, const Type& type, std::set<std::string>& out) {
  switch (type.kind) {
    case Type::Kind::json: return;
    case Type::Kind::object:
      for (const Node::Field& field : node.fields) {
        const Key* key = find_key(type, field.key);
        if (key == nullptr) continue;
        if (key->runtime) read_all(field.value, out);
        if (!key->runtime) read_typed(field.value, key->type, out);
      }
      return;
    case Type::Kind::map:
      for (const Node::Field& field : node.fields) read_typed(field.value, type.element[0], out);
      return;
    case Type::Kind::list:
      for (const Node& item : node.items) read_typed(item, type.element[0], out);
      return;
    default: read_text(node, out);
  }
}

}  // namespace

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

std::set<std::string> models_at_work(const Config& config) {
  std::set<std::string> out;
  for (const std::string& agent : agents_at_work(config)) out.insert(config.agent(agent)->model);
  for (const TopologyEntry& topology : config.topologies)
    if (topology.manager) out.insert(topology.manager->model);
  for (const mcp::ServerConfig& server : config.servers)
    if (const auto use = config.server_uses.find(server.name);
        use != config.server_uses.end() && use->second.sampling)
      out.insert(use->second.sampling->model);
  return out;
}

std::set<std::string> inputs_read(const Node& document) {
  std::set<std::string> out;
  read_typed(document, root_type(), out);
  if (child(document, "graph").fields.empty()) out.insert("task");
  return out;
}

std::string Unused::message() const {
  return section + "." + name + (section == "agents" ? ": no task uses it" : ": nothing reads it");
}

std::vector<Unused> find_unused(const Config& config, const Node& document,
                                const std::set<std::string>& read) {
  std::vector<Unused> out;
  const auto look = [&](const char* section, const std::set<std::string>& used) {
    for (const Node::Field& field : child(document, section).fields)
      if (!used.contains(field.key))
        out.push_back({.section = section, .name = field.key, .place = field.place});
  };
  look("agents", agents_at_work(config));
  look("inputs", read);
  return out;
}

}  // namespace swarm::config
