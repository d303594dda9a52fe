// orchestrator/run/execute.h — The graph of a run: every ready task at once, joins, failures that
// skip what needed them, outputs.
#pragma once

#include <string>
#include <vector>

#include "engine/base/async/task.h"
#include "engine/base/deadline.h"
#include "orchestrator/run/environment.h"

namespace swarm::run {

struct GraphOutcome {
  bool ok = false;
  std::string outcome;     // of the only task; else "succeeded" or the first failure's
  std::string error;
  Json answer;             // the last task's output; null when not ok
  Json best;               // not ok: the best answer so far, or null
  Json outputs;            // the declared outputs, when ok
  int32_t rounds = 0;
  bool degraded = false;
};

// environment outlives the call. Throws on cancellation, on budgets and when the deadline passes.
Async<GraphOutcome> run_graph(Environment& environment, Deadline deadline);

}  // namespace swarm::run
