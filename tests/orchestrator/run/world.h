// tests/orchestrator/run/world.h — A run with doubles: a swarm file as text, scripted model, tools
// and sessions of the test; the journal is read back and verified.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "agents/scripted_model.h"
#include "orchestrator/config/config.h"
#include "orchestrator/run/journal.h"
#include "orchestrator/orchestrator.h"
#include "tests/support/support.h"

namespace swarm::test {

// JSON that a worker or a manager says.
std::string worker(const std::string& public_text, const std::string& private_text = "",
                   const std::string& query = "", const std::string& key = "");
std::string solver(const std::string& public_text, const std::string& answer,
                   const std::string& query = "", const std::string& key = "");
std::string manager(const std::string& status, bool complete, const std::string& next_goal = "",
                    const std::string& answer_from = "");

class World {
 public:
  // yaml: without schema, models and journal, which are added.
  explicit World(const std::string& yaml);

  agents::ScriptedModel model;
  run::RunSettings settings;

  run::RunResult run();
  // Calls act(cancel) on the run's thread before the run; cancel() asks it to end.
  run::RunResult run_with(const std::function<void(std::function<void()> cancel)>& act);

  const config::Config& config() const { return config_; }
  // The journal of the last run, verified; the last event must be run.end.
  std::vector<run::Event> events() const;
  std::vector<run::Event> events(const std::string& type) const;
  // "type agent" and similar of every event, for reading in failures.
  std::string story() const;
  // The last message of the n-th request of an agent (from 0).
  std::string prompt(const std::string& agent, size_t n) const;

 private:
  TempDir dir_;
  config::Config config_;
  std::string journal_;
};

}  // namespace swarm::test
