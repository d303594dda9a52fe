// orchestrator/cli/mcp_targets.h — Which MCP servers a command speaks to: those of a swarm file
// or a list, one URL, or one program; and how it speaks to them from plain code.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "mcp/mcp.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/config/config.h"

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
  std::vector<std::string> roots;    // folders
};

void add_target_options(CLI::App& sub, McpTargetOptions& options);

struct McpTargets {
  std::vector<mcp::ServerConfig> servers;
  std::vector<std::string> disabled; // names
  std::map<std::string, config::ServerUse> uses;  // of a swarm file, by server
  std::vector<std::string> models;   // of the file, those of our engine
};
// Exit code in `code` when there is none.
std::optional<McpTargets> mcp_targets(const McpTargetOptions& options, CommandContext& context,
                                      int& code);

// What this server may ask of whoever calls it from the command line: folders, and the person at
// the terminal, if there is one. No models: they belong to runs.
mcp::ClientHooks hooks_for(const McpTargetOptions& options, const McpTargets& targets,
                           const std::string& server, CommandContext& context);

// Starts a client, runs `body` with it if that worked, stops it. start_error: "" when it started.
struct McpVisit {
  std::string start_error;
  std::chrono::milliseconds start_time{0};
};
using McpBody = std::function<Async<>(mcp::Client&)>;
McpVisit visit(const mcp::ServerConfig& server, mcp::ClientHooks hooks, bool trace,
               CommandContext& context, const McpBody& body);
// Several at once, each for itself.
struct McpGuest {
  const mcp::ServerConfig& server;
  mcp::ClientHooks hooks;
  McpBody body;
  McpVisit seen = {};
};
void visit_all(std::vector<McpGuest>& guests, bool trace, CommandContext& context);

}  // namespace swarm::cli
