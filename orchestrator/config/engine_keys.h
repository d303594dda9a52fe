// orchestrator/config/engine_keys.h — What the engine asks of its keys beyond types and ranges, so
// that a file is refused when it is read and not when the run begins. Pure.
#pragma once

#include <vector>

#include "orchestrator/config/node.h"

namespace swarm::config {

// engine.device, engine.max_resident against engine.max_running, models.NAME.context.
void check_engine_keys(const Node& document, std::vector<Problem>& problems);

}  // namespace swarm::config
