// orchestrator/config/written_schemas.h — Checks of the JSON Schemas in a document, before a run
// spends anything: an agent's "output" against what the engine's grammar can hold, a script's
// "parameters", and the arguments of tool tasks against the schema of the tool. Tools of MCP
// servers are not known here. Works on nodes, beside type errors, as references.h does.
#pragma once

#include <vector>

#include "orchestrator/config/node.h"

namespace swarm::config {

void check_written_schemas(const Node& document, std::vector<Problem>& problems);

}  // namespace swarm::config
