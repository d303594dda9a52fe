// orchestrator/config/config.h — A swarm file as plain data, checked. Paths are resolved: absolute
// or relative to the working directory. Names of agents, models, tasks refer to entries that exist.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agents/agent.h"
#include "engine/base/json.h"
#include "engine/config.h"
#include "mcp/mcp.h"
#include "orchestrator/topology/topology.h"
#include "tools/policy.h"

namespace swarm::config {

using Milliseconds = std::chrono::milliseconds;

enum class Provider : uint8_t { engine, scripted };

struct ModelEntry {
  std::string name;
  Provider provider = Provider::engine;
  engine::EngineConfig engine;            // provider engine
  std::optional<bool> thinking;
  agents::Sampling sampling;
  std::string script;                     // provider scripted: path
};

struct ToolEntry {
  std::string name;                       // of a built-in, or of a script
  std::vector<std::string> script;        // empty: a built-in
  std::string description;                // script
  Json parameters;                        // script
  tools::Effect effect = tools::Effect::once;
  tools::ProgramOptions program;
  int32_t calls_max = 0;
  bool private_addresses = false;
};

// What `ask` means where nobody can be asked.
enum class Unattended : uint8_t { deny, allow, fail };

struct PolicyEntry {
  tools::Policy policy;                   // declared() or not
  Unattended unattended = Unattended::deny;
  std::string pins;                       // path
};

// What of a server's tools must be as in the first run.
enum class Pin : uint8_t { off, names, surface };

// A server may ask a model of the run for text.
struct SamplingUse {
  std::string model;
  int32_t calls_max = 20;                 // requests in a run, of all its instances
  int32_t tokens_max = 1024;              // of one answer
};

// automatic: a person answers what a server asks; where there is none it is not offered.
// decline: offered, and always declined.
enum class Elicitation : uint8_t { automatic, decline, off };

// What a run does about a server that is slow or does not come, and what it may ask of the run.
struct ServerUse {
  bool required = false;                  // there is no run without it
  Milliseconds wait{5000};                // how long the first turn waits for one that is not
  bool per_agent = false;                 // it keeps state: an instance for each
  std::optional<SamplingUse> sampling;    // unset: it may not
  Elicitation elicitation = Elicitation::automatic;
  std::vector<std::string> roots;         // folders it is told to work in; none: nothing is said
};

struct AgentEntry {
  agents::AgentConfig config;             // tools: patterns, in order
  std::string model;
  std::optional<Milliseconds> timeout;
  std::optional<Json> output;
};

struct ManagerEntry {
  agents::AgentConfig config;
  std::string model;
  std::optional<Milliseconds> timeout;
  std::vector<std::string> goals, statuses;
};

struct TopologyEntry {
  std::string name;
  topology::Options options;              // agents = members.size(); seed is the run's
  std::vector<std::string> members;
  std::optional<ManagerEntry> manager;
  std::string protocol;
  agents::OutputFormat format = agents::OutputFormat::json;   // of the members' messages
  int32_t rounds_max = 5;
  std::string encoder;
  std::string descriptor_template;
  std::string first_goal;                 // "task", "manager" or the goal itself
  std::vector<std::string> answer;
  std::vector<std::string> query_options, key_options;
  bool fail_on_failure = false;
};

enum class Join : uint8_t { all, any, always };

struct TaskEntry {
  enum class Kind : uint8_t { agent, topology, tool };
  std::string name;
  Kind kind = Kind::agent;
  std::string target;                     // agent, topology or tool (public name)
  Json in;                                // with ${...}
  Json args;
  std::vector<std::string> after;
  Join join = Join::all;
  std::optional<Milliseconds> timeout;
};

struct Limits {
  std::optional<Milliseconds> wall;
  std::optional<int64_t> model_calls, tokens;
};

enum class Sync : uint8_t { async, step, off };

struct Config {
  std::string name, description;
  Json inputs;                            // values by name
  Json recorded_inputs;                   // the same for the record, see document
  // The resolved file, for the journal and its hash; ${env.X} stays, its value is never kept.
  Json document;
  std::string directory;                  // absolute; paths in `document` are relative to it
  std::vector<ModelEntry> models;
  std::vector<mcp::ServerConfig> servers;
  std::map<std::string, ServerUse> server_uses;  // by server
  std::vector<std::string> disabled_servers;     // declared, and never started
  std::map<std::string, Pin> pins;        // by server; absent = off
  std::vector<ToolEntry> tools;
  PolicyEntry policy;
  std::vector<AgentEntry> agents;
  std::vector<TopologyEntry> topologies;
  std::vector<TaskEntry> tasks;           // in the order of the file
  Json outputs;                           // name -> template; empty: the last task's output
  Limits limits;
  std::string journal_dir;
  Sync sync = Sync::async;

  const ModelEntry* model(std::string_view name) const;
  const AgentEntry* agent(std::string_view name) const;
  const TopologyEntry* topology(std::string_view name) const;
};

}  // namespace swarm::config
