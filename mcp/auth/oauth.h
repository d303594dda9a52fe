// mcp/auth/oauth.h — OAuth 2.1 for one MCP server: discovery, client identity, grants, refresh,
// step-up, DPoP. One flow at a time; whoever is refused meanwhile waits for it. The token goes to
// that server and to nobody else. One strand; lives as long as its transports.
#pragma once

#include <memory>

#include "engine/base/async/task.h"
#include "engine/base/log.h"
#include "mcp/mcp.h"
#include "mcp/transport/authorizer.h"

namespace swarm::mcp {

std::unique_ptr<Authorizer> make_oauth(AuthOptions options, Url server, Executor executor,
                                       Log& log);

}  // namespace swarm::mcp
