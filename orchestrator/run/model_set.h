// orchestrator/run/model_set.h — The models of a run by name, however they came to be. Owned by the
// run; ends after everything that calls a model.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <stop_token>
#include <string>

#include "agents/model.h"
#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/base/log.h"
#include "orchestrator/config/config.h"

namespace swarm::run {

class ModelSet {
 public:
  virtual ~ModelSet() = default;
  virtual std::map<std::string, agents::Model*> by_name() const = 0;
  // After a run that succeeded: logs what was prepared for it and never asked for.
  virtual void warn_unused() {}
};

// Runs on a thread of its own: loading weights takes a while and blocks. The models are used on
// `executor`. When a stop is requested it ends soon, with ErrorKind::cancelled.
using ModelFactory = std::function<Result<std::unique_ptr<ModelSet>>(
    const config::Config& config, Executor executor, const Clock& clock, Log& log,
    std::stop_token stop)>;

}  // namespace swarm::run
