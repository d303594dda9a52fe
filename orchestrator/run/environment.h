// orchestrator/run/environment.h — What the coroutines of a run share. Owned by whoever starts the
// run, outlives it, used on its strand.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>

#include "agents/model.h"
#include "engine/base/clock.h"
#include "orchestrator/config/config.h"
#include "orchestrator/run/meter.h"
#include "orchestrator/run/recorder.h"
#include "tools/tool.h"

namespace swarm::run {

struct Environment {
  const config::Config& config;
  std::map<std::string, agents::Model*> models;  // by name; not owned
  const tools::Registry& registry;
  Recorder& recorder;
  Meter& meter;
  const Clock& clock;
  uint64_t seed = 0;
  // Of the model calls of an agent; may be empty.
  ProgressListener on_progress = {};
};

// What came of a task.
struct TaskOutcome {
  bool ok = false;
  // complete | succeeded | rounds_exhausted | no_answer | failed | timeout
  std::string outcome;
  std::string error;       // why, when not ok
  Json output;             // when ok
  Json best;               // not ok: the best answer so far, or null
  int32_t rounds = 0;
  bool degraded = false;   // somebody failed on the way
};

}  // namespace swarm::run
