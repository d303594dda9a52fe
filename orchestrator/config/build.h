// orchestrator/config/build.h — A checked document to structs. Defaults come from the table of
// keys, so that the printed schema and the loader cannot disagree.
#pragma once

#include <string>

#include "orchestrator/config/config.h"
#include "orchestrator/config/node.h"

namespace swarm::config {

// document: resolved and free of problems. directory: where relative paths begin.
Config build(const Node& document, const std::string& directory);

}  // namespace swarm::config
