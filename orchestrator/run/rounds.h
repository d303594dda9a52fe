// orchestrator/run/rounds.h — The rounds of a topology: workers together, barrier, graph, delivery
// into the next round's memory, manager (reference/dytopo.md section 3, our choices of section 11).
#pragma once

#include <string>

#include "engine/base/async/task.h"
#include "engine/base/deadline.h"
#include "orchestrator/run/environment.h"

namespace swarm::run {

struct RoundsInput {
  std::string task_name;   // of the graph, for the journal
  std::string task;        // what is to be done; in every prompt
  Deadline deadline;
};

// environment and topology outlive the call. Throws on cancellation and on budgets; everything else
// is an outcome.
Async<TaskOutcome> run_rounds(Environment& environment, const config::TopologyEntry& topology,
                              RoundsInput input);

}  // namespace swarm::run
