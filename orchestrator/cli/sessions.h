// orchestrator/cli/sessions.h — How the program starts MCP servers.
#pragma once

#include <functional>
#include <memory>

#include "engine/base/async/task.h"
#include "engine/base/log.h"
#include "mcp/mcp.h"

namespace swarm::cli {

std::function<std::unique_ptr<mcp::Session>(mcp::ServerConfig, Executor, Log&)> session_factory();

}  // namespace swarm::cli
