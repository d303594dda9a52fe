// orchestrator/cli/mcp_lists.h — Servers from lists of other programs: one that was named, or those
// of the project (.mcp.json here) and of the user. A project's list came with the project: each of
// its servers must be approved before it is started, and again when it changes.
#pragma once

#include <string>
#include <vector>

#include "mcp/mcp.h"
#include "orchestrator/cli/commands.h"

namespace swarm::cli {

struct McpListOptions {
  std::string file;      // "" = project and user
  bool approve = false;  // what the project's list says now
};

struct McpLists {
  std::vector<mcp::ServerConfig> servers;
  std::vector<std::string> disabled;
  bool found = false;    // there was a list
  int code = 0;          // of what went wrong with single servers; they were told on stderr
};

// A list that cannot be read is an error; a single server that cannot be used is not.
Result<McpLists> read_mcp_lists(const McpListOptions& options, CommandContext& context);

}  // namespace swarm::cli
