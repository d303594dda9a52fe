// mcp/client/mcp_tool.h — One tool of a server as a tools::Tool. Shares the client's core: it may
// be called after its session has stopped, and says so.
#pragma once

#include <memory>
#include <string>

#include "tools/tool.h"

namespace swarm::mcp {

class Core;

std::shared_ptr<tools::Tool> make_tool(std::shared_ptr<Core> core, std::string remote_name,
                                       tools::ToolSpec spec);

}  // namespace swarm::mcp
