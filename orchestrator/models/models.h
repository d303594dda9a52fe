// orchestrator/models/models.h — The declared models of a swarm: engines with their threads, and
// scripts. Owned by one run and used on its strand; ends after everything that calls a model.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "agents/model.h"
#include "agents/scripted_model.h"
#include "engine/base/clock.h"
#include "engine/base/log.h"
#include "orchestrator/config/config.h"
#include "orchestrator/models/engine_model.h"
#include "orchestrator/models/engine_pool.h"
#include "orchestrator/run/model_set.h"

namespace swarm::models {

class Models final : public run::ModelSet {
 public:
  explicit Models(Log& log) : log_(log) {}
  ~Models() override;

  Result<void> add(const config::ModelEntry& entry, Executor executor, const Clock& clock,
                   std::stop_token stop, EnginePool& pool);
  // Whether every agent and manager that is to think can, for models that were added.
  Result<void> check_thinking(const config::Config& config) const;
  std::map<std::string, agents::Model*> by_name() const override;
  void warn_unused() override;

 private:
  Log& log_;
  std::vector<std::shared_ptr<EngineThread>> threads_;   // shared with the pool and other runs
  std::map<std::string, std::unique_ptr<EngineModel>> engines_;
  std::map<std::string, std::unique_ptr<agents::ScriptedModel>> scripts_;
};

// Opens the models that an agent or a manager uses; every run it serves, and every copy of it, has
// the engines of one pool. Clock and log given to it, and accelerator (null = the CPU alone),
// outlive them.
run::ModelFactory model_factory(const engine::kernels::Accelerator* accelerator);

// {"replies": [{"label": "Clerk", "pattern": "..", "content": "..." or an object,
//   "tool_calls": [{"name": "..", "arguments": {..}}], "delay": "10ms", "error": "..."}]}
// Strict keys; file: for messages.
Result<std::vector<agents::ScriptedModel::Step>> parse_script(const std::string& text,
                                                              const std::string& file);

}  // namespace swarm::models
