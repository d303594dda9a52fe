// orchestrator/run/toolbox.h — The registry of a run: built-ins, scripts, the tools of MCP servers,
// in this order and each in the order of the file, so that prompts are the same every time;
// servers that come late stand behind. A tool of a server that cannot be used is left out with a
// reason; one of our own is an error.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "agents/agent.h"
#include "engine/base/log.h"
#include "mcp/mcp.h"
#include "orchestrator/config/config.h"
#include "orchestrator/run/recorder.h"
#include "orchestrator/run/servers.h"
#include "tools/http_fetch.h"
#include "tools/tool.h"

namespace swarm::run {

struct ToolboxParts {
  const config::Config& config;
  const Servers& servers;
  std::span<const std::shared_ptr<tools::Tool>> more;  // besides the declared ones
  // Connections of http_fetch; empty: there is no http_fetch.
  const std::function<tools::HttpGet(bool private_addresses)>& make_http_get;
  std::string directory;           // of the run; artifacts are kept below
  Recorder& recorder;
  Log& log;
};

// Throws ErrorException{invalid_input, environment}.
void fill_registry(tools::Registry& registry, const ToolboxParts& parts);

// A server that came late, or has more tools than before; at most kBatchesMax times in a run, so
// that a server whose list never rests fills neither memory nor prompts. A pinned one gets no more.
inline constexpr size_t kBatchesMax = 200;
void join_registry(tools::Registry& registry, const ToolboxParts& parts,
                   const std::string& server);

// What a server said of its own tools in the middle of the run: those that are gone leave, at once
// for calls, with its next turn for a model. One that has changed stays what it was when the run
// began, and the server answers for it; of a server pinned by its surface it leaves, too, because
// nobody has looked at what it is now.
void drift_registry(tools::Registry& registry, const ToolboxParts& parts,
                    const std::string& server, std::span<const std::string> gone,
                    std::span<const std::string> changed);

// A pattern that matches nothing, and a tool that cannot work here (no sandbox), are found now and
// not in the middle of the run. Throws ErrorException{invalid_input, environment}.
Async<> check_tools(const tools::Registry& registry, const config::Config& config);

// What the definitions of an agent's tools take of its context.
struct ToolCost {
  std::string agent;
  size_t tools = 0, tokens = 0;
  bool exact = false;                // tokens are counted; else estimated
  bool deferred = false;             // more than it may be shown: they wait behind a search
  std::vector<std::string> unknown;  // patterns for tools of servers that are not in of_servers
};
// counters: of models by name, as far as they have a tokenizer at hand.
std::vector<ToolCost> tool_costs(const config::Config& config,
                                 std::span<const std::shared_ptr<tools::Tool>> of_servers,
                                 const std::map<std::string, agents::TokenCounter>& counters = {});

}  // namespace swarm::run
