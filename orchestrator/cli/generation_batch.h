// orchestrator/cli/generation_batch.h — Several requests to one engine, driven on the calling
// thread until all have ended: submit, step, read. Used by commands; a swarm has its engine thread.
// Every entry ends exactly once, also when interrupted (then with Finish::cancelled).
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "engine/chat.h"
#include "engine/engine.h"

namespace swarm::cli {

struct GenerationEntry {
  engine::Request request;
  std::unique_ptr<engine::ChatReader> reader;
  // Filled while running.
  bool cut = false;                      // the budget ended it, what follows closes its text
  engine::ChatReply reply = {};
  engine::Finish finish = engine::Finish::none;
  engine::Report report = {};
  std::string error = {};
  ErrorKind error_kind = ErrorKind::failed;
};

struct GenerationHooks {
  std::function<bool()> interrupted;                                   // asked between steps
  std::function<void(size_t, const engine::ChatDelta&)> on_delta = {};
  std::function<void(size_t)> on_end = {};
};

// An Error only when a request was refused; then nothing of it has run, others were cancelled.
Result<void> run_generation(engine::Engine& engine, std::vector<GenerationEntry>& entries,
                            const GenerationHooks& hooks);

}  // namespace swarm::cli
