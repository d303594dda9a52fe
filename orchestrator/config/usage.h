// orchestrator/config/usage.h — What of a swarm file is put to work. Pure functions.
#pragma once

#include <set>
#include <string>
#include <vector>

#include "orchestrator/config/config.h"
#include "orchestrator/config/node.h"

namespace swarm::config {

// Those that a task runs, itself or as members of its topology. Others cost nothing.
std::set<std::string> agents_at_work(const Config& config);
// Names of the models that something asks: those agents, managers, servers that may.
std::set<std::string> models_at_work(const Config& config);

// Inputs that some value reads as ${inputs.NAME}, and the one that is the work of a file without a
// graph. document: with --set applied, before ${...} is evaluated.
std::set<std::string> inputs_read(const Node& document);

// Declared, and of no effect: often a name that is misspelt elsewhere.
struct Unused {
  std::string section;               // agents | inputs
  std::string name;
  Place place = {};
  std::string message() const;       // "agents.Spare: no task uses it"
};
// In the order of the sections agents, inputs. document: that of config; read: its inputs_read().
std::vector<Unused> find_unused(const Config& config, const Node& document,
                                const std::set<std::string>& read);

}  // namespace swarm::config
