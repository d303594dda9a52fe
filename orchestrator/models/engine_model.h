// orchestrator/models/engine_model.h — agents::Model on the engine of this process.
// Used on one strand. Requests made in one turn of the strand reach the engine as one batch,
// so that a round of agents is prefilled together and their shared prefix is computed once.
// Cancelling generate() frees the KV within one engine step, and ends when that has happened.
// What a run knows of its conversations goes to the engine: what the next call does not go on from
// is forgotten, what release() names is, too, and system messages are pinned until the model ends.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
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
  void release(std::string_view context, std::span<const agents::Message> comes_again) override;
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
  // What the engine may know of a conversation: the tokens of its last call.
  struct Context {
    engine::ChatPrompt chat;               // tools and settings; no messages
    std::vector<engine::TokenId> tokens;
  };
  void begin_context(const std::string& name, const engine::ChatPrompt& chat,
                     const std::vector<engine::TokenId>& prompt);
  void remember(const std::string& name, std::span<const engine::TokenId> said);
  // How many of tokens begin every conversation that begins with these messages; nullopt: the
  // template cannot tell.
  std::optional<size_t> tokens_in_common(std::span<const engine::TokenId> tokens,
                                         engine::ChatPrompt chat,
                                         std::span<const agents::Message> messages) const;

  std::string name_;
  EngineThread& thread_;
  Executor executor_;
  // Shared with the posted flush, which may run after this object.
  std::shared_ptr<Batch> batch_;
  const uint64_t owner_;                         // of pins
  std::map<std::string, Context, std::less<>> contexts_;
  mutable std::map<std::pair<uint64_t, size_t>, size_t> counted_;  // hash and size of a text
};

}  // namespace swarm::models
