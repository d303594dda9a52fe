// orchestrator/run/meter.h — Counts what a run uses and stops it at its budgets, also in the
// middle of a decode. One strand.
#pragma once

#include <cstdint>
#include <string>

#include "agents/model.h"
#include "engine/base/json.h"
#include "orchestrator/config/config.h"

namespace swarm::run {

struct Totals {
  int64_t model_calls = 0;
  int64_t tool_calls = 0;
  int64_t prompt_tokens = 0;
  int64_t cached_tokens = 0;
  int64_t computed_tokens = 0;
  int64_t output_tokens = 0;
  int64_t forced_tokens = 0;
};

Json to_json(const Totals& totals);

class Meter {
 public:
  explicit Meter(const config::Limits& limits) : limits_(limits) {}

  void count_tool_call() { ++totals_.tool_calls; }
  const Totals& totals() const { return totals_; }
  // A model is gone for good (its device was lost): a run that fails has failed for that reason.
  bool model_lost() const { return model_lost_; }

 private:
  class Live;
  friend class MeteredModel;

  // Before a model call. Throws ErrorException{budget} when a limit is used up.
  void begin_model_call();
  void check_tokens(int64_t allowed) const;
  void add(const agents::Usage& usage);

  config::Limits limits_;
  Totals totals_;
  int64_t live_tokens_ = 0;   // of calls without a reply yet
  bool model_lost_ = false;
};

// Passes everything through, counting. Throws ErrorException{budget} when a limit is reached.
class MeteredModel final : public agents::Model {
 public:
  // Both outlive it.
  MeteredModel(agents::Model& model, Meter& meter) : model_(model), meter_(meter) {}
  Async<agents::ModelReply> generate(agents::ModelRequest request) override;
  void release(std::string_view context,
               std::span<const agents::Message> comes_again) override {
    model_.release(context, comes_again);
  }
  std::string_view name() const override { return model_.name(); }
  std::optional<size_t> count_tokens(std::string_view text) const override {
    return model_.count_tokens(text);
  }

 private:
  agents::Model& model_;
  Meter& meter_;
};

}  // namespace swarm::run
