// tests/orchestrator/run/real_servers.h — Runs whose MCP servers are real processes: the fixture of
// tests/mcp, behaving as its mode says.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "tests/orchestrator/run/world.h"

namespace swarm::test {

inline const std::string kFixture = MCP_FIXTURE_SERVER;

inline void use_real_servers(World& world) {
  world.settings.make_session = [](mcp::ServerConfig config, Executor executor, Log& log,
                                   mcp::ClientHooks hooks) -> std::unique_ptr<mcp::Session> {
    return mcp::make_client(std::move(config), std::move(executor), log, std::move(hooks));
  };
}

// A line of the section mcp.
inline std::string server(const std::string& name, const std::string& mode,
                          const std::string& more = "") {
  return "  " + name + ": {command: [" + kFixture + ", " + mode + "], protocol: legacy" + more +
         "}\n";
}

}  // namespace swarm::test
