#include "orchestrator/config/build.h"

#include <algorithm>
#include <filesystem>
#include <set>

#include "engine/base/check.h"
#include "engine/base/units.h"
#include "orchestrator/config/schema.h"
#include "orchestrator/config/view.h"

namespace swarm::config {
namespace {

namespace fs = std::filesystem;

class ConfigBuilder {
 public:
  ConfigBuilder(const Node& document, std::string directory)
      : root_(&document, &root_type()), directory_(std::move(directory)) {
    config_.document = to_record(document);
  }

  Config build() {
    config_.name = root_.text("name");
    config_.description = root_.text("description");
    for (const auto& [name, view] : root_.entries("models")) add_model(name, view);
    add_servers();
    for (const auto& [name, view] : root_.entries("tools")) add_tool(name, view);
    add_policy(root_.child("policy"));
    for (const auto& [name, view] : root_.entries("agents")) add_agent(name, view);
    for (const auto& [name, view] : root_.entries("topologies")) add_topology(name, view);
    for (const auto& [name, view] : root_.entries("graph")) add_task(name, view);
    if (config_.tasks.empty()) add_implied_task();
    require_servers_of_tasks();
    config_.outputs = root_.has("outputs") ? root_.json("outputs") : Json::object();
    const View limits = root_.child("limits");
    config_.limits.wall = limits.duration("wall");
    config_.limits.model_calls = limits.maybe<int64_t>("model_calls");
    config_.limits.tokens = limits.maybe<int64_t>("tokens");
    const View journal = root_.child("journal");
    config_.journal_dir = journal.text("dir");
    const std::string sync = journal.text("sync");
    config_.sync = sync == "step" ? Sync::step : sync == "off" ? Sync::off : Sync::async;
    return std::move(config_);
  }

 private:
  // Relative to the file; "" stays "".
  std::string path(const std::string& text) const {
    if (text.empty() || fs::path(text).is_absolute() || directory_.empty()) return text;
    return (fs::path(directory_) / text).lexically_normal().string();
  }

  static agents::Sampling sampling(const View& view) {
    agents::Sampling out;
    out.temperature = view.maybe<double>("temperature");
    out.top_k = view.maybe<int32_t>("top_k");
    out.top_p = view.maybe<double>("top_p");
    out.min_p = view.maybe<double>("min_p");
    out.presence_penalty = view.maybe<double>("presence_penalty");
    out.frequency_penalty = view.maybe<double>("frequency_penalty");
    out.repeat_penalty = view.maybe<double>("repeat_penalty");
    return out;
  }

  void add_model(const std::string& name, const View& view) {
    ModelEntry model;
    model.name = name;
    model.provider = view.text("provider") == "engine" ? Provider::engine : Provider::scripted;
    model.sampling = sampling(view.child("sampling"));
    model.thinking = view.maybe<bool>("thinking");
    model.script = path(view.text("script"));
    const std::string weights = view.text("weights");
    const View engine = root_.child("engine");
    engine::EngineConfig& e = model.engine;
    e.model = weights.starts_with("synth:") ? weights : path(weights);
    e.context_max = view.number<int32_t>("context");
    e.device = engine.text("device");
    e.isa = engine.text("isa");
    e.kernels = engine.text("kernels");
    e.deterministic = engine.boolean("deterministic");
    e.k_type = engine.text("k_type");
    e.v_type = engine.text("v_type");
    e.page_tokens = engine.number<int32_t>("page_tokens");
    const auto running = engine.maybe<int32_t>("max_running");
    const auto resident = engine.maybe<int32_t>("max_resident");
    e.max_running = running.value_or(std::min(e.max_running, resident.value_or(e.max_running)));
    e.max_resident = resident.value_or(std::max(e.max_resident, e.max_running));
    e.prefill_batch_tokens = engine.number<int32_t>("prefill_batch_tokens");
    e.queue_depth_max = engine.number<int32_t>("queue_depth_max");
    e.threads = engine.number<int32_t>("threads");
    const Json memory = engine.json("kv_memory");
    if (memory.is_number()) e.kv_bytes_max = memory.get<uint64_t>();
    if (memory.is_string() && memory != "auto")
      e.kv_bytes_max = *parse_bytes(memory.get<std::string>());
    config_.models.push_back(std::move(model));
  }

  // A program with a slash is a path of the file; a bare word is looked up by the system.
  std::string program(const std::string& text) const {
    return text.find('/') == std::string::npos ? text : path(text);
  }
  static std::map<std::string, std::string> environment(const View& view) {
    std::map<std::string, std::string> out;
    const Json env = view.json("env");
    if (env.is_object())
      for (const auto& [name, value] : env.items()) out[name] = value.get<std::string>();
    return out;
  }

  static uint64_t bytes(const View& view, const char* name) {
    const Json value = view.json(name);
    return value.is_string() ? *parse_bytes(value.get<std::string>()) : value.get<uint64_t>();
  }

  void add_tool(const std::string& name, const View& view) {
    ToolEntry tool;
    tool.name = name;
    tool.script = view.texts("script");
    if (!tool.script.empty()) tool.script[0] = program(tool.script[0]);
    tool.description = view.text("description");
    tool.parameters = view.has("parameters") ? view.json("parameters") : Json{{"type", "object"}};
    const std::string effect = view.text("effect");
    tool.effect = effect == "read"         ? tools::Effect::read
                  : effect == "idempotent" ? tools::Effect::idempotent
                                           : tools::Effect::once;
    tools::ProgramOptions& options = tool.program;
    options.confined = view.text("sandbox") == "on";
    options.root = path(view.text("root"));
    options.writable = view.boolean("writable");
    options.network = view.boolean("network");
    options.env = environment(view);
    options.timeout = *view.duration("timeout");
    options.memory_bytes_max = bytes(view, "memory");
    options.file_bytes_max = bytes(view, "file_size");
    options.disk_bytes_max = bytes(view, "disk");
    options.output_bytes_max = bytes(view, "output_size");
    options.processes_max = view.number<size_t>("processes");
    tool.calls_max = view.number<int32_t>("max_concurrent");
    tool.private_addresses = view.boolean("private_addresses");
    config_.tools.push_back(std::move(tool));
  }

  void add_policy(const View& view) {
    tools::PolicyRules rules;
    rules.deny = view.texts("deny");
    rules.allow = view.texts("allow");
    rules.ask = view.texts("ask");
    rules.approved = approved_;
    rules.declared = root_.has("policy");
    config_.policy.pins = view.text("pins");
    // The rules were looked at with the references.
    config_.policy.policy = tools::Policy::make(rules).value();
    const std::string unattended = view.text("unattended");
    config_.policy.unattended = unattended == "allow"  ? Unattended::allow
                                : unattended == "fail" ? Unattended::fail
                                                       : Unattended::deny;
  }

  static void add_headers(const View& view, mcp::ServerConfig& server) {
    const Json headers = view.json("headers");
    if (headers.is_object())
      for (const auto& [name, value] : headers.items())
        server.headers.emplace_back(name, value.get<std::string>());
  }
  static mcp::TransportKind transport(const std::string& text) {
    if (text == "stdio") return mcp::TransportKind::stdio;
    if (text == "sse") return mcp::TransportKind::sse;
    return text.empty() || text == "auto" ? mcp::TransportKind::automatic
                                          : mcp::TransportKind::http;
  }
  static mcp::Era era(const std::string& text) {
    return text == "modern"   ? mcp::Era::modern
           : text == "legacy" ? mcp::Era::legacy
                              : mcp::Era::automatic;
  }

  std::shared_ptr<const mcp::AuthOptions> authorization(const View& view) const {
    mcp::AuthOptions out;
    const std::string grant = view.text("grant");
    using Grant = mcp::AuthOptions::Grant;
    if (grant == "client_credentials") out.grant = Grant::client_credentials;
    if (grant == "workload") out.grant = Grant::workload;
    if (grant == "enterprise") out.grant = Grant::enterprise;
    out.client_id = view.text("client_id");
    out.client_secret = view.text("client_secret");
    out.client_metadata_url = view.text("client_metadata_url");
    out.private_key_pem = view.text("private_key");
    out.signing_algorithm = view.text("algorithm");
    out.assertion = view.text("assertion");
    out.idp_client_id = view.text("idp_client_id");
    out.idp_id_token = view.text("idp_id_token");
    out.idp_token_endpoint = view.text("idp_token_endpoint");
    out.browser = true;
    out.redirect_uri = view.text("redirect_uri");
    out.store_file = path(view.text("store"));
    out.reach_private = view.boolean("private_addresses");
    return std::make_shared<mcp::AuthOptions>(std::move(out));  // shared by copies of the server
  }

  static void add_call_limits(const View& view, mcp::ServerConfig& server) {
    server.call_timeout = *view.duration("call_timeout");
    server.call_timeout_max = view.duration("call_timeout_max").value_or(Milliseconds(0));
    server.idle_timeout = *view.duration("idle_timeout");
    const auto time = [](const Json& entry, const char* key) -> std::optional<Milliseconds> {
      if (!entry.contains(key)) return std::nullopt;
      return *parse_duration(entry[key].get<std::string>());
    };
    for (const Json& entry : view.json("tool_limits"))
      server.tool_limits.push_back({.tool = entry["tool"].get<std::string>(),
                                    .call_timeout = time(entry, "call_timeout"),
                                    .idle_timeout = time(entry, "idle_timeout"),
                                    .call_timeout_max = time(entry, "call_timeout_max")});
  }

  void add_asks(const View& view, ServerUse& use) const {
    if (view.has("sampling")) {
      const View sampling = view.child("sampling");
      use.sampling = SamplingUse{.model = model_of(sampling).name,
                                 .calls_max = sampling.number<int32_t>("calls_max"),
                                 .tokens_max = sampling.number<int32_t>("tokens_max")};
    }
    const std::string elicitation = view.text("elicitation");
    use.elicitation = elicitation == "decline" ? Elicitation::decline
                      : elicitation == "off"   ? Elicitation::off
                                               : Elicitation::automatic;
    for (const std::string& root : view.texts("roots")) use.roots.push_back(path(root));
  }

  void add_servers() {
    for (const auto& [name, view] : root_.entries("mcp")) {
      if (!is_used(name, view)) continue;
      config_.server_uses[name].wait = *view.duration("wait");
      config_.server_uses[name].per_agent = view.text("instance") == "per_agent";
      add_asks(view, config_.server_uses[name]);
      approve(name, view.texts("approved_tools"));
      mcp::ServerConfig server;
      server.name = name;
      if (view.has("command")) {
        server.command = view.texts("command");
        server.command[0] = program(server.command[0]);
      }
      server.url = view.text("url");
      add_headers(view, server);
      server.transport = transport(view.text("transport"));
      server.era = era(view.text("protocol"));
      server.env = environment(view);
      server.cwd = path(view.text("cwd"));
      server.lazy = view.text("start") == "lazy";
      if (server.lazy) server.list_cache = view.text("list_cache");
      server.idle_stop = *view.duration("idle_stop");
      server.log_level = view.text("log_level");
      server.start_timeout = *view.duration("start_timeout");
      add_call_limits(view, server);
      server.calls_max = view.number<int32_t>("max_concurrent");
      server.restarts_max = view.number<int32_t>("restarts_max");
      server.ca_file = path(view.text("ca_file"));
      server.record = path(view.text("record"));
      server.replay = path(view.text("replay"));
      server.include_tools = view.texts("include_tools");
      server.exclude_tools = view.texts("exclude_tools");
      if (view.has("auth")) server.auth = authorization(view.child("auth"));
      const std::string pin = view.text("pin");
      if (pin != "off") config_.pins[name] = pin == "names" ? Pin::names : Pin::surface;
      config_.servers.push_back(std::move(server));
    }
    for (const auto& [name, view] : root_.entries("mcpServers")) {
      if (!is_used(name, view)) continue;
      approve(name, view.texts("autoApprove"));
      approve(name, view.texts("alwaysAllow"));
      mcp::ServerConfig server;
      server.name = name;
      if (view.has("command")) server.command = {program(view.text("command"))};
      for (const std::string& argument : view.texts("args")) server.command.push_back(argument);
      server.url = view.text("url");
      add_headers(view, server);
      server.transport = transport(view.text("type"));
      server.env = environment(view);
      server.cwd = path(view.text("cwd"));
      server.include_tools = view.texts("includeTools");
      server.exclude_tools = view.texts("excludeTools");
      for (std::string& tool : view.texts("disabledTools"))
        server.exclude_tools.push_back(std::move(tool));
      config_.servers.push_back(std::move(server));
    }
  }

  // Of either section. A server that is off is only remembered by name.
  bool is_used(const std::string& name, const View& view) {
    if (view.boolean("disabled")) {
      config_.disabled_servers.push_back(name);
      return false;
    }
    config_.server_uses[name].required = view.maybe<bool>("required").value_or(false);
    if (!view.has("required")) undecided_.insert(name);
    return true;
  }
  void approve(const std::string& server, const std::vector<std::string>& tools) {
    for (const std::string& tool : tools) approved_.push_back(server + "/" + tool);
  }
  // A task that is a call cannot do without the server; an agent may find another way.
  void require_servers_of_tasks() {
    for (const TaskEntry& task : config_.tasks)
      for (const std::string& server : undecided_)
        if (task.kind == TaskEntry::Kind::tool &&
            (task.target.starts_with(server + "/") || task.target.starts_with(server + "__")))
          config_.server_uses[server].required = true;
  }

  // The named model, or the only one.
  const ModelEntry& model_of(const View& view) const {
    const ModelEntry* found = view.has("model") ? config_.model(view.text("model"))
                                                : &config_.models.front();
    SWARM_CHECK(found != nullptr);
    return *found;
  }
  // over, where it says something; else base.
  static agents::Sampling merged(const agents::Sampling& base, const agents::Sampling& over) {
    agents::Sampling out = base;
    if (over.temperature) out.temperature = over.temperature;
    if (over.top_k) out.top_k = over.top_k;
    if (over.top_p) out.top_p = over.top_p;
    if (over.min_p) out.min_p = over.min_p;
    if (over.presence_penalty) out.presence_penalty = over.presence_penalty;
    if (over.frequency_penalty) out.frequency_penalty = over.frequency_penalty;
    if (over.repeat_penalty) out.repeat_penalty = over.repeat_penalty;
    return out;
  }
  void add_model_settings(const View& view, agents::AgentConfig& config) const {
    const ModelEntry& model = model_of(view);
    config.sampling = merged(model.sampling, sampling(view.child("sampling")));
    config.thinking = view.has("thinking") ? view.maybe<bool>("thinking") : model.thinking;
  }

  // Definitions must leave room for the work.
  static int32_t tool_tokens_of(const ModelEntry& model) {
    constexpr int32_t kUnknownContext = 8192;
    return model.engine.context_max > 0 ? std::max(model.engine.context_max / 10, 1)
                                        : kUnknownContext;
  }

  void add_agent(const std::string& name, const View& view) {
    AgentEntry agent;
    agent.model = model_of(view).name;
    agent.timeout = view.duration("timeout");
    if (view.has("output")) agent.output = view.json("output");
    agents::AgentConfig& config = agent.config;
    config.name = name;
    config.instructions = view.text("instructions");
    config.tools = view.texts("tools");
    config.max_turns = view.number<int32_t>("max_turns");
    config.max_tool_calls = view.number<int32_t>("max_tool_calls");
    config.max_tokens = view.number<int32_t>("max_tokens");
    config.tool_result_bytes_max = view.number<int32_t>("tool_result_bytes_max");
    config.tool_tokens_max =
        view.maybe<int32_t>("tool_tokens_max").value_or(tool_tokens_of(model_of(view)));
    config.memory_chars_max = view.number<int32_t>("memory_chars_max");
    add_model_settings(view, config);
    config_.agents.push_back(std::move(agent));
  }

  static topology::OnIsolated on_isolated(const std::string& text) {
    if (text == "best") return topology::OnIsolated::best;
    return text == "broadcast" ? topology::OnIsolated::broadcast : topology::OnIsolated::none;
  }

  void add_topology(const std::string& name, const View& view) {
    TopologyEntry out;
    out.name = name;
    out.members = view.texts("members");
    const auto index = [&](const std::string& member) {
      return static_cast<int32_t>(std::find(out.members.begin(), out.members.end(), member) -
                                  out.members.begin());
    };
    topology::Options& options = out.options;
    options.kind = *topology::parse_kind(view.text("kind"));
    options.agents = static_cast<int32_t>(out.members.size());
    const View match = view.child("match");
    options.match.tau = match.number<double>("tau");
    options.match.k_in = match.number<int32_t>("k_in");
    options.match.on_isolated = on_isolated(view.text("on_isolated"));
    options.random_edges = view.maybe<int32_t>("random_edges");
    for (const Json& edge : view.json("edges"))
      options.edges.emplace_back(index(edge["from"].get<std::string>()),
                                 index(edge["to"].get<std::string>()));
    for (const Json& layer : view.json("layers")) {
      options.layers.emplace_back();
      for (const Json& member : layer)
        options.layers.back().push_back(index(member.get<std::string>()));
    }
    out.protocol = view.text("protocol");
    if (view.text("format") == "tags") out.format = agents::OutputFormat::tags;
    out.rounds_max = view.child("rounds").number<int32_t>("max");
    out.encoder = match.text("encoder");
    out.descriptor_template = match.text("descriptor_template");
    out.first_goal = view.text("first_goal");
    out.answer = view.texts("answer");
    out.query_options = view.child("descriptors").texts("query");
    out.key_options = view.child("descriptors").texts("key");
    out.fail_on_failure = view.text("on_failure") == "fail";
    if (view.has("manager")) out.manager = manager(view.child("manager"));
    config_.topologies.push_back(std::move(out));
  }

  ManagerEntry manager(const View& view) const {
    ManagerEntry out;
    out.config.name = view.text("name");
    out.config.instructions = view.text("instructions");
    out.config.max_tokens = view.number<int32_t>("max_tokens");
    add_model_settings(view, out.config);
    out.model = model_of(view).name;
    out.timeout = view.duration("timeout");
    out.goals = view.texts("goals");
    out.statuses = view.texts("statuses");
    return out;
  }

  void add_task(const std::string& name, const View& view) {
    TaskEntry task;
    task.name = name;
    using Kind = TaskEntry::Kind;
    task.kind = view.has("agent")      ? Kind::agent
                : view.has("topology") ? Kind::topology
                                       : Kind::tool;
    task.target = view.text(task.kind == Kind::agent      ? "agent"
                            : task.kind == Kind::topology ? "topology"
                                                          : "tool");
    task.in = view.json("in");
    task.args = view.has("args") ? view.json("args") : Json::object();
    task.after = view.texts("after");
    const std::string join = view.text("join");
    task.join = join == "any" ? Join::any : join == "always" ? Join::always : Join::all;
    task.timeout = view.duration("timeout");
    config_.tasks.push_back(std::move(task));
  }

  void add_implied_task() {
    TaskEntry task;
    const bool topology = !config_.topologies.empty();
    task.kind = topology ? TaskEntry::Kind::topology : TaskEntry::Kind::agent;
    task.target = topology ? config_.topologies[0].name : config_.agents[0].config.name;
    task.name = task.target;
    task.in = "${inputs.task}";
    task.args = Json::object();
    config_.tasks.push_back(std::move(task));
  }

  View root_;
  std::string directory_;
  Config config_;
  std::set<std::string> undecided_;      // servers that do not say whether they are required
  std::vector<std::string> approved_;    // SERVER/TOOL
};

template <class Entries, class Name>
auto find_entry(const Entries& entries, std::string_view name, Name name_of) {
  const auto found = std::find_if(entries.begin(), entries.end(),
                                  [&](const auto& entry) { return name_of(entry) == name; });
  return found == entries.end() ? nullptr : &*found;
}

}  // namespace

const ModelEntry* Config::model(std::string_view wanted) const {
  return find_entry(models, wanted, [](const ModelEntry& e) { return e.name; });
}
const AgentEntry* Config::agent(std::string_view wanted) const {
  return find_entry(agents, wanted, [](const AgentEntry& e) { return e.config.name; });
}
const TopologyEntry* Config::topology(std::string_view wanted) const {
  return find_entry(topologies, wanted, [](const TopologyEntry& e) { return e.name; });
}

Config build(const Node& document, const std::string& directory) {
  return ConfigBuilder(document, directory).build();
}

}  // namespace swarm::config
