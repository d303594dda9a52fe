// orchestrator/orchestrator.h — PUBLIC. A swarm file to its result: load, plan, run.
//
//   const config::Loaded loaded = config::load_file("swarm.yaml", {.inputs = {{"task", "..."}}});
//   if (!loaded.config) return refuse(loaded.report());   // every mistake at once, nothing started
//   const run::Plan plan = run::plan_of(*loaded.config);  // what would run; starts nothing
//   run::RunResult r = co_await run::run_swarm(*loaded.config, run::real_settings(), clock, log);
//
// A run is a directory with its journal, the models, the MCP servers, the tools and the task graph,
// and an end on every path: the journal is complete also when the run fails, hangs or is cancelled,
// and servers are stopped before the call returns. One strand per run; nothing blocks it: weights
// are read on a thread of their own. Whoever awaits run_swarm() owns it and everything it started.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/async/task.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "mcp/mcp.h"
#include "orchestrator/config/config.h"
#include "orchestrator/config/load.h"
#include "orchestrator/run/asked.h"
#include "orchestrator/run/environment.h"
#include "orchestrator/run/guard.h"
#include "orchestrator/run/model_set.h"
#include "orchestrator/run/servers.h"
#include "tools/http_fetch.h"

namespace swarm::engine::kernels {
class Accelerator;
}

namespace swarm::run {

// The parts of a run by name, as --dry-run prints them.
struct Plan {
  struct Task {
    std::string name, target;
    std::vector<std::string> after;
  };
  struct Agent {
    std::string name, model;
    std::vector<std::string> tools;
  };
  struct Server {
    std::string name;
    std::vector<std::string> command;         // or the URL alone
  };
  std::string name;
  Json inputs;
  std::vector<Task> tasks;
  std::vector<Agent> agents;
  std::vector<Server> servers;
};
Plan plan_of(const config::Config& config);
Json to_json(const Plan& plan);

struct RunSettings {
  std::string id = {};                      // "" = made from the time
  uint64_t seed = 0;
  std::string version = {};                 // of the program, for the journal
  Listener listener = {};
  ProgressListener on_progress = {};
  // How servers are started: mcp::make_client, or doubles.
  MakeSession make_session = {};
  // How the declared models are opened: models::open_models, or doubles.
  ModelFactory open_models = {};
  // Who consents to calls that the policy wants asked; empty: nobody, then it is unattended.
  Ask ask = {};
  // Who answers what MCP servers ask of a person; empty: nobody, then they are not offered it.
  Elicit elicit = {};
  // What `ask` means unattended; unset: as the file says.
  std::optional<config::Unattended> unattended = {};
  // Connections of the tool http_fetch: mcp::make_http_get, or doubles.
  std::function<tools::HttpGet(bool private_addresses)> make_http_get = {};
  // Besides the declared ones.
  std::vector<std::shared_ptr<tools::Tool>> tools = {};  // shared with the registry
};

struct RunResult {
  std::string id;
  std::string directory;
  bool ok = false;
  // complete | succeeded | rounds_exhausted | no_answer | failed | timeout | budget | cancelled
  std::string outcome;
  std::string error;
  ErrorKind kind = ErrorKind::failed;       // when not ok: decides the exit code
  Json answer;
  Json best;
  Json outputs;
  int32_t rounds = 0;
  bool degraded = false;
  // Servers that were not there in the end, and why.
  std::vector<std::pair<std::string, std::string>> servers_missing;
  Totals totals;
  std::chrono::nanoseconds wall{0};
};

// With the servers and models of this program; what remains is to be filled in. Runs with copies of
// it share engines and their KV cache, which live until the last copy is gone. accelerator: what
// models.NAME.engine.device may name besides the CPU; outlives the runs.
RunSettings real_settings(const engine::kernels::Accelerator* accelerator = nullptr);

// {"answer":..,"outcome":..,"run":..,"rounds":..,"usage":{..}, ...}
Json to_json(const RunResult& result);

// config, clock and log outlive the call, a single-threaded context awaits it. Throws only when no
// journal can be made (ErrorException). Cancelling it gives a result with outcome "cancelled".
Async<RunResult> run_swarm(const config::Config& config, RunSettings settings, const Clock& clock,
                           Log& log);

}  // namespace swarm::run
