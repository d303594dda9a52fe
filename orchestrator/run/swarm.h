// orchestrator/run/swarm.h — A whole run: directory and journal, models, MCP servers, tools, graph,
// and an end on every path. The journal is complete also when the run fails, hangs or is cancelled;
// servers are stopped before the call returns.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/base/async/task.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "mcp/mcp.h"
#include "orchestrator/config/config.h"
#include "orchestrator/run/environment.h"
#include "orchestrator/run/model_set.h"

namespace swarm::run {

struct RunSettings {
  std::string id = {};                      // "" = made from the time
  uint64_t seed = 0;
  std::string version = {};                 // of the program, for the journal
  Listener listener = {};
  std::function<void(std::string_view agent, std::string_view text)> on_text = {};
  // How servers are started: mcp::make_stdio_session, or doubles.
  std::function<std::unique_ptr<mcp::Session>(mcp::ServerConfig, Executor, Log&)> make_session = {};
  // How the declared models are opened: models::open_models, or doubles.
  ModelFactory open_models = {};
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
  Totals totals;
  std::chrono::nanoseconds wall{0};
};

// {"answer":..,"outcome":..,"run":..,"rounds":..,"usage":{..}, ...}
Json to_json(const RunResult& result);

// config, clock and log outlive the call; awaited on a single-threaded context. Throws only when no
// journal can be made (ErrorException). Cancelling it gives a result with outcome "cancelled".
Async<RunResult> run_swarm(const config::Config& config, RunSettings settings, const Clock& clock,
                           Log& log);

}  // namespace swarm::run
