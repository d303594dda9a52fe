#include "orchestrator/run/toolbox.h"

#include <algorithm>
#include <filesystem>

#include "orchestrator/run/pins.h"
#include "orchestrator/run/tool_names.h"

namespace swarm::run {
namespace {

using config::TaskEntry;

// Named by itself somewhere, not by a pattern.
bool is_named(const config::Config& config, const std::string& name) {
  for (const config::AgentEntry& agent : config.agents)
    if (std::find(agent.config.tools.begin(), agent.config.tools.end(), name) !=
        agent.config.tools.end())
      return true;
  return std::any_of(config.tasks.begin(), config.tasks.end(), [&](const TaskEntry& task) {
    return task.kind == TaskEntry::Kind::tool && task.target == name;
  });
}

void add_builtins(tools::Registry& registry, const config::Config& config,
                  const std::shared_ptr<tools::Artifacts>& artifacts,
                  const std::function<tools::HttpGet(bool)>& make_http_get) {
  std::map<std::string, std::shared_ptr<uint64_t>> grown;  // shared by the tools of one root
  for (const std::string& name : tools::builtin_names()) {
    const config::ToolEntry* declared = nullptr;
    for (const config::ToolEntry& tool : config.tools)
      if (tool.name == name) declared = &tool;
    // "*" must not hand out a shell that nobody has written down.
    const bool harmless = name == "calculator" || name == "now";
    if (declared == nullptr && !harmless && !is_named(config, name)) continue;
    tools::BuiltinOptions options;
    options.artifacts = artifacts;
    if (declared != nullptr) {
      options.program = declared->program;
      options.private_addresses = declared->private_addresses;
      std::error_code failure;       // a root that is not there is told by the tool
      auto& bytes =
          grown[std::filesystem::weakly_canonical(options.program.root, failure).string()];
      if (!bytes) bytes = std::make_shared<uint64_t>(0);
      options.grown = bytes;
    }
    if (name != "http_fetch")
      registry.add(tools::make_builtin(name, options).value()).value();
    else if (make_http_get)
      registry.add(tools::make_http_fetch(make_http_get(options.private_addresses))).value();
  }
}

void add_scripts(tools::Registry& registry, const config::Config& config) {
  for (const config::ToolEntry& tool : config.tools) {
    if (tool.script.empty()) continue;
    tools::ScriptOptions options;
    options.name = tool.name;
    options.description = tool.description;
    options.parameters = tool.parameters;
    options.effect = tool.effect;
    options.command = tool.script;
    options.program = tool.program;
    registry.add(tools::make_script(std::move(options)).value()).value();
  }
}

// Before any tool of a server is shown to a model.
void check_pins(const ToolboxParts& parts) {
  if (parts.config.pins.empty()) return;
  Pins pins = Pins::open(parts.config.policy.pins).value();
  for (const auto& [server, pin] : parts.config.pins) {
    if (!parts.servers.has_tools(server)) continue;
    const Json surface = surface_of(parts.servers.tools(server));
    parts.recorder.event("mcp.surface", {{"server", server}, {"hash", surface_hash(surface)}});
    pins.check(server, surface, pin).value();
  }
  pins.save().value();
}

bool is_there(const tools::Registry& registry, const tools::ToolSpec& spec) {
  const std::vector<tools::Tool*> all = registry.all();
  return std::any_of(all.begin(), all.end(), [&](const tools::Tool* tool) {
    const tools::ToolSpec& known = tool->spec();
    return spec.is_remote() && known.server == spec.server &&
           known.remote_name == spec.remote_name;
  });
}

// Two servers with a tool of one name: a model may take one for the other.
void note_shadow(const tools::Registry& registry, const ToolboxParts& parts,
                 const tools::ToolSpec& spec) {
  if (!spec.is_remote()) return;
  for (const tools::Tool* tool : registry.all())
    if (tool->spec().remote_name == spec.remote_name && tool->spec().server != spec.server)
      parts.recorder.event("tool.shadow", {{"tool", spec.remote_name},
                                           {"origins", {tool->spec().origin, spec.origin}}});
}

void add_server_tools(tools::Registry& registry, const ToolboxParts& parts,
                      const std::string& server) {
  std::vector<std::string> servers, ours;
  for (const mcp::ServerConfig& one : parts.config.servers) servers.push_back(one.name);
  for (const tools::Tool* tool : registry.all())
    if (!tool->spec().is_remote()) ours.push_back(tool->spec().name);
  for (const std::shared_ptr<tools::Tool>& offered : parts.servers.tools(server)) {
    if (is_there(registry, offered->spec())) continue;
    const std::shared_ptr<tools::Tool> tool =
        under_public_name(offered, {.servers = servers, .ours = ours});
    const tools::ToolSpec& spec = tool->spec();
    if (spec.name != offered->spec().name)
      parts.recorder.event("tool.renamed", {{"tool", spec.name},
                                            {"origin", spec.origin},
                                            {"remote", spec.remote_name}});
    note_shadow(registry, parts, spec);
    Result<void> added = tools::check_schema(spec.parameters);
    if (added) added = registry.add(tool);
    if (added) continue;
    const std::string& why = added.error().message;
    parts.log.warn("tool.quarantine", {{"tool", spec.name}, {"why", why}});
    parts.recorder.event("tool.quarantine",
                         {{"tool", spec.name}, {"origin", spec.origin}, {"why", why}});
  }
}

}  // namespace

void fill_registry(tools::Registry& registry, const ToolboxParts& parts) {
  // shared: the registry, which keeps, and read_artifact, which reads.
  const auto artifacts = std::make_shared<tools::Artifacts>(parts.directory + "/artifacts");
  registry.set_artifacts(artifacts);
  add_builtins(registry, parts.config, artifacts, parts.make_http_get);
  add_scripts(registry, parts.config);
  for (const std::shared_ptr<tools::Tool>& tool : parts.more) registry.add(tool).value();
  for (const config::ToolEntry& tool : parts.config.tools)
    registry.limit(tool.name, static_cast<size_t>(tool.calls_max));
  check_pins(parts);
  for (const std::string& server : parts.config.disabled_servers)
    registry.expect(server, "is disabled");
  for (const mcp::ServerConfig& server : parts.config.servers) {
    if (parts.servers.has_tools(server.name))
      add_server_tools(registry, parts, server.name);
    else
      registry.expect(server.name, parts.servers.absence(server.name));
  }
}

void join_registry(tools::Registry& registry, const ToolboxParts& parts,
                   const std::string& server) {
  if (parts.config.pins.contains(server)) return;
  if (registry.last_batch() >= kBatchesMax) {
    parts.log.warn("mcp.tools.restless", {{"server", server}});
    return;
  }
  registry.begin_batch();
  registry.expect(server, "does not offer it");
  add_server_tools(registry, parts, server);
}

void drift_registry(tools::Registry& registry, const ToolboxParts& parts,
                    const std::string& server, std::span<const std::string> gone,
                    std::span<const std::string> changed) {
  const auto pin = parts.config.pins.find(server);
  const bool looked_at = pin != parts.config.pins.end() && pin->second == config::Pin::surface;
  const auto has = [](std::span<const std::string> names, const std::string& name) {
    return std::find(names.begin(), names.end(), name) != names.end();
  };
  for (const tools::Tool* tool : registry.all()) {
    const tools::ToolSpec& spec = tool->spec();
    if (!spec.is_remote() || spec.server != server) continue;
    const bool is_gone = has(gone, spec.remote_name);
    if (!is_gone && !has(changed, spec.remote_name)) continue;
    const bool leaves = is_gone || looked_at;
    parts.recorder.event(leaves ? "tool.gone" : "tool.changed",
                         {{"tool", spec.name},
                          {"origin", spec.origin},
                          {"why", is_gone ? "not offered any more" : "not what it was"}});
    const std::string why = is_gone ? "\" offers it no longer"
                                    : "\" has changed it since it was pinned";
    if (leaves) registry.withdraw(spec.name, "server \"" + server + why);
  }
}

Async<> check_tools(const tools::Registry& registry, const config::Config& config) {
  std::vector<tools::Tool*> used;
  const auto use = [&](std::span<tools::Tool* const> some) {
    for (tools::Tool* tool : some)
      if (std::find(used.begin(), used.end(), tool) == used.end()) used.push_back(tool);
  };
  for (const config::AgentEntry& agent : config.agents) {
    const Result<std::vector<tools::Tool*>> found = registry.select(agent.config.tools);
    if (!found)
      throw ErrorException(
          invalid_input("agents." + agent.config.name + ".tools: " + found.error().message));
    use(*found);
  }
  for (const TaskEntry& task : config.tasks) {
    if (task.kind != TaskEntry::Kind::tool) continue;
    const std::string path = "graph." + task.name + ".tool: ";
    const Result<std::vector<tools::Tool*>> found = registry.select(std::span(&task.target, 1));
    if (!found) throw ErrorException(invalid_input(path + found.error().message));
    if (found->empty()) continue;  // of a server that is not there; the task will say so
    if (found->size() != 1)
      throw ErrorException(invalid_input(path + "\"" + task.target + "\" names " +
                                         std::to_string(found->size()) + " tools, expected one"));
    use(*found);
  }
  for (tools::Tool* tool : used) {
    const Result<void> usable = co_await tool->check();
    if (!usable)
      throw ErrorException(Error{usable.error().kind,
                                 "tool " + tool->spec().name + ": " + usable.error().message});
  }
}

std::vector<ToolCost> tool_costs(const config::Config& config,
                                 std::span<const std::shared_ptr<tools::Tool>> of_servers,
                                 const std::map<std::string, agents::TokenCounter>& counters) {
  // The folders of file tools need not exist to know what the tools look like.
  config::Config copy = config;
  for (config::ToolEntry& tool : copy.tools)
    if (tools::builtin_needs_root(tool.name)) tool.program.root = "/";
  tools::Registry registry;
  const auto no_connection = [](bool) { return tools::HttpGet(); };
  add_builtins(registry, copy, std::make_shared<tools::Artifacts>(std::string()), no_connection);
  add_scripts(registry, copy);
  for (const auto& tool : of_servers)
    if (!registry.add(tool)) continue;
  std::vector<ToolCost> out;
  for (const config::AgentEntry& agent : config.agents) {
    ToolCost cost;
    cost.agent = agent.config.name;
    std::vector<tools::ToolSpec> specs;
    for (const std::string& pattern : agent.config.tools) {
      const auto found = registry.select(std::span(&pattern, 1));
      if (!found) cost.unknown.push_back(pattern);  // of a server that was not asked
      if (!found) continue;
      for (const tools::Tool* tool : *found)
        if (std::none_of(specs.begin(), specs.end(), [&](const tools::ToolSpec& spec) {
              return spec.name == tool->spec().name;
            }))
          specs.push_back(tool->spec());
    }
    cost.tools = specs.size();
    const auto counter = counters.find(agent.model);
    const agents::DefinitionCost all = agents::definition_cost(
        specs, counter != counters.end() ? counter->second : agents::TokenCounter());
    cost.tokens = all.tokens;
    cost.exact = all.exact;
    const auto limit = static_cast<size_t>(agent.config.tool_tokens_max);
    cost.deferred = limit > 0 && cost.tokens > limit;
    out.push_back(std::move(cost));
  }
  return out;
}

}  // namespace swarm::run
