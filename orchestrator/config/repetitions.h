// orchestrator/config/repetitions.h — Names that stand twice where the second has no effect, or
// makes two things one: at the second place. Filters and rules, which are sets, may repeat;
// members, answers, edges, layers and `after` are looked at with the references. Works on nodes.
#pragma once

#include <string>
#include <vector>

#include "orchestrator/config/node.h"

namespace swarm::config {

void check_repetitions(const Node& document, std::vector<Problem>& problems);

// One problem at every item that stands in the list before, too: "PATH[2]: "x" is listed twice".
void check_repeated(const Node& list, const std::string& path, std::vector<Problem>& problems);

}  // namespace swarm::config
