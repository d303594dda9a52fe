// tests/mcp/conformance/task_tools.h — The tools of the suite whose calls become tasks.
#pragma once

#include "mcp/serve.h"

namespace swarm::mcp {

void add_task_tools(Served& served);

}  // namespace swarm::mcp
