// orchestrator/config/references.h — Checks between parts of a document: names that must exist,
// keys that belong together, cycles. Works on nodes, so that it runs beside type errors and reports
// everything at once; it looks only at values of the right type.
#pragma once

#include <vector>

#include "orchestrator/config/node.h"

namespace swarm::config {

void check_references(const Node& document, std::vector<Problem>& problems);

}  // namespace swarm::config
