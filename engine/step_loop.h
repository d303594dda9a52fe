// engine/step_loop.h — One batch after another: scheduler plan -> forward pass -> one token per
// sequence -> outputs. The Engine behind its model file; tests drive it over any Transformer.
// Every accepted request ends with exactly one final Output. When the device is lost
// (ErrorException{environment} from the transformer), all end with Finish::failed and every later
// submit is refused with the reason. Not thread-safe (engine thread).
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/engine.h"
#include "engine/generation.h"
#include "engine/model/transformer.h"
#include "engine/sched/scheduler.h"

namespace swarm::engine {

struct StepLoopOptions {
  sched::SchedulerLimits limits;
  int32_t vocab = 0;                  // ids from here on are never chosen (padding of the model)
  ThinkMarkers think = {};
};

class StepLoop {
 public:
  // transformer and clock outlive the loop; limits must match the transformer's pages.
  StepLoop(model::Transformer& transformer, StepLoopOptions options, const Clock& clock);

  // constraint: the state of request.grammar (request.grammar itself is not looked at).
  Result<RequestId> submit(Request request, std::unique_ptr<Constraint> constraint);
  Result<RequestId> fork(RequestId parent, Request request);
  void cancel(RequestId id);
  void forget(std::span<const TokenId> tokens, int32_t from) { scheduler_.forget(tokens, from); }
  void unpin(uint64_t owner) { scheduler_.unpin(owner); }
  std::span<const Output> step(const Engine::Began& began = {});

  bool idle() const { return live_.empty(); }
  EngineStats stats() const;
  void clear_cache() { scheduler_.clear_cache(); }
  void check_integrity() const;

 private:
  struct Live {
    Generation generation;
    bool prefill_only = false;
    bool cancelled = false;
    bool fits_once = false;           // cached_tokens has been counted
    Report report = {};
    TimePoint submitted = {};
    std::optional<TimePoint> computed_first = {};
    std::optional<TimePoint> token_first = {};
    int64_t batch_sum = 0;
    int32_t decode_steps = 0;
  };

  Result<void> check(const Request& request) const;
  Result<RequestId> enter(Request request, Generation generation);
  void end_early(TimePoint now);
  void start_new();
  void book_plan(const sched::StepPlan& plan, TimePoint now, const Engine::Began& began);
  bool run_model(const sched::StepPlan& plan);
  void forward(const sched::StepPlan& plan);
  void advance(const sched::StepPlan& plan);
  void emit(RequestId id, const Advance& advance);
  void finish(RequestId id, Finish finish, std::string error = "",
              ErrorKind kind = ErrorKind::failed);

  model::Transformer& transformer_;
  StepLoopOptions options_;
  const Clock& clock_;
  sched::Scheduler scheduler_;
  std::map<RequestId, Live> live_;
  std::vector<RequestId> unstarted_;
  std::vector<Output> outputs_;
  std::vector<model::SequenceChunk> chunks_;
  std::vector<RequestId> choosing_;   // whose logits are the rows of the step, in order
  std::vector<SampleJob> jobs_;
  std::vector<Sampled> sampled_;
  std::string lost_;                  // why the device is gone for good; "" while it is there
  EngineStats stats_;
};

}  // namespace swarm::engine
