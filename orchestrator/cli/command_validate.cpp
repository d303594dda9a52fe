// swarm validate — every mistake of a file at once, and what the tools of each agent take of its
// context by the tokenizer of its model, if the file is here; starts and reads nothing else, but
// for --tools, which asks the MCP servers.
#include <CLI/CLI.hpp>

#include "engine/base/json.h"
#include "orchestrator/cli/checks.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/files.h"
#include "orchestrator/cli/mcp_targets.h"
#include "orchestrator/cli/text.h"
#include "orchestrator/cli/token_counter.h"
#include "orchestrator/run/toolbox.h"

namespace swarm::cli {
namespace {

struct ValidateOptions {
  FileOptions file;
  bool json = false;
  bool tools = false;
};

// A tool of a server that is gone by now: only its definition is left.
class Definition final : public tools::Tool {
 public:
  explicit Definition(tools::ToolSpec spec) : spec_(std::move(spec)) {}
  const tools::ToolSpec& spec() const override { return spec_; }
  Async<tools::ToolResult> call(Json, tools::ToolContext) override {
    co_return tools::ToolResult{.text = "only its definition is known", .is_error = true};
  }

 private:
  tools::ToolSpec spec_;
};

// all: also those that must be started for it. Lazy ones may be known from an earlier run.
std::vector<std::shared_ptr<tools::Tool>> ask_servers(const config::Config& config, bool all,
                                                      CommandContext& context, int& code) {
  std::vector<std::shared_ptr<tools::Tool>> out;
  for (mcp::ServerConfig server : config.servers) {
    if (all) server.lazy = false;
    if (!all && !mcp::starts_later(server)) continue;
    const McpVisit seen =
        visit(server, {}, /*trace=*/false, context, [&](mcp::Client& client) -> Async<> {
          for (const auto& tool : client.tools())
            out.push_back(std::make_shared<Definition>(tool->spec()));
          co_return;
        });
    if (seen.start_error.empty()) continue;
    code = kExitEnvironment;
    context.err << "error: " << seen.start_error << "\n";
  }
  return out;
}

// Of the models whose file is here.
std::map<std::string, agents::TokenCounter> token_counters(const config::Config& config) {
  std::map<std::string, agents::TokenCounter> out;
  for (const config::ModelEntry& model : config.models) {
    if (model.provider != config::Provider::engine) continue;
    if (auto counter = open_token_counter(model.engine.model))
      out[model.name] = std::move(counter);
  }
  return out;
}

Json to_json(const std::vector<run::ToolCost>& costs) {
  Json out = Json::array();
  for (const run::ToolCost& cost : costs)
    out.push_back(Json{{"agent", cost.agent}, {"tools", cost.tools},
                       {"tokens", cost.tokens}, {"exact", cost.exact},
                       {"deferred", cost.deferred}, {"unknown", cost.unknown}});
  return out;
}

void print_costs(const std::vector<run::ToolCost>& costs, std::ostream& out) {
  for (const run::ToolCost& cost : costs) {
    if (cost.tools == 0 && cost.unknown.empty()) continue;
    out << "  agent " << cost.agent << ": " << counted(static_cast<int64_t>(cost.tools), "tool")
        << ", " << (cost.exact ? "" : "about ") << cost.tokens << " tokens of definitions"
        << (cost.exact ? "" : " (estimated: no tokenizer at hand)")
        << (cost.deferred ? "; deferred behind a search" : "");
    for (const std::string& pattern : cost.unknown) out << "; " << pattern << ": ask with --tools";
    out << "\n";
  }
}

std::vector<std::string> unused_in(const LoadedFile& loaded, std::string_view section) {
  std::vector<std::string> names;
  for (const config::Unused& one : loaded.unused)
    if (one.section == section) names.push_back(one.name);
  return names;
}

Result<int> run_validate(const ValidateOptions& options, CommandContext& context) {
  const LoadedFile loaded = load_swarm(options.file, /*need_inputs=*/false, context);
  if (!loaded.config) return loaded.code;
  const config::Config& config = *loaded.config;
  int code = kExitOk;
  const auto of_servers = ask_servers(config, options.tools, context, code);
  const std::vector<run::ToolCost> costs =
      run::tool_costs(config, of_servers, token_counters(config));
  if (options.json) {
    context.out << dump_json({{"valid", true},
                              {"name", config.name},
                              {"agents", config.agents.size()},
                              {"topologies", config.topologies.size()},
                              {"tasks", config.tasks.size()},
                              {"tools", to_json(costs)},
                              {"unused_agents", unused_in(loaded, "agents")},
                              {"unused_inputs", unused_in(loaded, "inputs")}})
                << "\n";
    return code;
  }
  context.out << options.file.file << ": valid: " << counted(std::ssize(config.agents), "agent")
              << ", " << counted(std::ssize(config.topologies), "topology", "topologies") << ", "
              << counted(std::ssize(config.tasks), "task") << "\n";
  print_costs(costs, context.out);
  context.out << visible(loaded.unused_report);
  return code;
}

}  // namespace

void register_validate(CLI::App& app, CommandContext& context) {
  CLI::App* sub = app.add_subcommand("validate", "Check a swarm file; report every mistake");
  auto options = std::make_shared<ValidateOptions>();
  add_file_options(*sub, options->file);
  sub->add_flag("--tools", options->tools, "start the MCP servers and count their tools, too");
  sub->add_flag("--json", options->json, "print one JSON object");
  set_action(*sub, context, options, run_validate);
}

}  // namespace swarm::cli
