// orchestrator/cli/mcp_serve.h — A swarm as an MCP server: one tool that runs the file, its inputs
// as arguments, progress per event of the run, journals as resources.
#pragma once

#include <string>
#include <vector>

#include "orchestrator/cli/commands.h"

namespace swarm::cli {

struct McpServeOptions {
  std::string file;
  bool http = false;               // else one client on stdin and stdout
  std::string host = "127.0.0.1";
  uint16_t port = 0;
  std::string token_env;           // name of the variable with the bearer token
  std::vector<std::string> origins;  // whose pages may call, besides those of this machine
};

void add_serve_options(CLI::App& sub, McpServeOptions& options);
// Until the client leaves (stdio) or a signal comes.
Result<int> run_mcp_serve(const McpServeOptions& options, CommandContext& context);

}  // namespace swarm::cli
