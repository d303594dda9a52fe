// orchestrator/config/usage.h — Which agents a swarm file puts to work. Pure function.
#pragma once

#include <set>
#include <string>

#include "orchestrator/config/config.h"

namespace swarm::config {

// Those that a task runs, itself or as members of its topology. Others cost nothing.
std::set<std::string> agents_at_work(const Config& config);

}  // namespace swarm::config
