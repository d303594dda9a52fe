#include "orchestrator/cli/sessions.h"

namespace swarm::cli {

std::function<std::unique_ptr<mcp::Session>(mcp::ServerConfig, Executor, Log&)> session_factory() {
  return mcp::make_session;
}

}  // namespace swarm::cli
