// orchestrator/models/engine_model.h — agents::Model on the engine of this process.
// Used on one strand. Requests made in one turn of the strand reach the engine as one batch,
// so that a round of agents is prefilled together and their shared prefix is computed once.
// Cancelling generate() frees the KV within one engine step, and ends when that has happened.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "agents/model.h"
#include "orchestrator/models/engine_thread.h"

namespace swarm::models {

class EngineModel final : public agents::Model {
 public:
  // thread outlives the model and all its calls; executor: the strand.
  EngineModel(std::string name, EngineThread& thread, Executor executor);
  ~EngineModel() override;

  Async<agents::ModelReply> generate(agents::ModelRequest request) override;
  std::string_view name() const override { return name_; }
  // Remembers what it counted: agents ask for the same definitions in every pass.
  std::optional<size_t> count_tokens(std::string_view text) const override;
  // As ChatCodec::check_thinking.
  Result<void> check_thinking() const { return thread_.codec().check_thinking(); }

 private:
  struct Batch;
  struct Call;
  Async<agents::ModelReply> converse(Call& call, engine::Request prepared,
                                     const agents::ModelRequest& request);
  // Ends a call and tells what it cost.
  Async<> cut_off(Call& call, const agents::ModelRequest& request);
  Result<engine::Request> to_engine(const agents::ModelRequest& request) const;
  void enqueue(EngineThread::Job job);

  std::string name_;
  EngineThread& thread_;
  Executor executor_;
  // Shared with the posted flush, which may run after this object.
  std::shared_ptr<Batch> batch_;
  mutable std::map<std::pair<uint64_t, size_t>, size_t> counted_;  // hash and size of a text
};

}  // namespace swarm::models
