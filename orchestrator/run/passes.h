// orchestrator/run/passes.h — One pass of one agent inside a run: model and tools from the
// environment, events into the journal, failures as values.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "agents/agent.h"
#include "engine/base/async/task.h"
#include "engine/base/deadline.h"
#include "orchestrator/run/environment.h"

namespace swarm::run {

struct PassSpec {
  std::string task;                       // of the graph
  int32_t round = 0;                      // 0 = outside rounds
  std::string agent;
  std::string model = {};
  uint64_t seed = 0;
  Deadline deadline = {};
  std::vector<agents::Message> messages = {};
  std::optional<Json> output_schema = {};
  agents::OutputFormat output_format = agents::OutputFormat::json;
  agents::ContextHints hints = {};        // context: set by run_agent()
  // With what a later pass of the same agent in the same task begins: see agents::Model::release.
  std::vector<agents::Message> comes_again = {};
};

struct PassOutcome {
  agents::PassResult result;
  std::string failure;                    // "" = fine
};

// The conversation of an agent inside a task, of all its rounds.
std::string conversation_of(const std::string& task, const std::string& agent);

// Throws on cancellation and on budgets; every other trouble is a failure. However it ends, the
// model is told that the conversation is over but for what comes again.
Async<PassOutcome> run_agent(Environment& environment, const agents::AgentConfig& config,
                             PassSpec spec);

// The earlier of the task's deadline and `timeout` from now.
Deadline deadline_of(const Environment& environment, Deadline task,
                     const std::optional<config::Milliseconds>& timeout);

}  // namespace swarm::run
