// orchestrator/cli/mcp_targets.h — Which MCP servers a command speaks to: those of a swarm file
// or a list, one URL, or one program; and how it speaks to them from plain code.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mcp/mcp.h"
#include "orchestrator/cli/commands.h"

namespace swarm::cli {

struct McpTargetOptions {
  std::string file;
  std::string config;                // a list of another program
  bool approve = false;
  std::string url;
  std::vector<std::string> headers;  // NAME=VALUE
  std::vector<std::string> command;  // after --
  std::string protocol = "auto";
  std::string transport = "auto";
  bool trace = false;
  std::string record, replay;        // files
};

void add_target_options(CLI::App& sub, McpTargetOptions& options);

// Exit code in `code` when there is none.
std::optional<std::vector<mcp::ServerConfig>> mcp_targets(const McpTargetOptions& options,
                                                          CommandContext& context, int& code);

// Starts a client, runs `body` with it if that worked, stops it. start_error: "" when it started.
struct McpVisit {
  std::string start_error;
  std::chrono::milliseconds start_time{0};
};
using McpBody = std::function<Async<>(mcp::Client&)>;
McpVisit visit(const mcp::ServerConfig& server, mcp::ClientHooks hooks, bool trace,
               CommandContext& context, const McpBody& body);

// Text for people with configured secrets taken out.
std::string redacted(std::string text, const mcp::ServerConfig& server);

}  // namespace swarm::cli
