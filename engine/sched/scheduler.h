// engine/sched/scheduler.h — Which tokens of which sequence are computed in the next step, and
// whose pages make room. A pure state machine: no model, no clock (now is passed in), no threads;
// the same calls give the same plans.
//
// Order. One order rules everything: higher level first, then earlier arrival. level = priority + 1
// for every kAgingSteps steps spent waiting, so nobody waits for ever behind a stream of more
// important arrivals; a level never falls. The first of the order is never preempted.
// Step. 1. Every decoding sequence, at most max_running in order, gets its next token. 2. Waiting
// sequences are admitted in order while they fit (max_resident; pages of all their tokens and one
// spare). The first that does not fit stops admission: nobody overtakes it. One whose next page is
// being computed by a twin waits for it without stopping others, and lends the twin its level.
// 3. Prompts are computed in order, in chunks, with what decoding leaves of prefill_batch_tokens:
// at least one token while any prompt is resident or may be admitted, because the forced spans of
// decoding sequences leave it over. A step has at most max(prefill_batch_tokens, max_running + 1)
// tokens.
// Preemption. When a decoding sequence needs a page and nothing is evictable, the last of the order
// gives up its pages and waits again; its computed full pages stay in the cache while nobody needs
// them. A waiting sequence preempts only sequences whose level is below its own priority (age gives
// no such right, so two sequences cannot preempt each other in turn).
// Kept pages (keep_for) go only when the one resident or admissible sequence could not run
// otherwise; pinned pages never. Pins are taken only as far as a sequence as long as the context
// fits beside them, so that none becomes impossible because of them.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "engine/base/error.h"
#include "engine/kv/page_pool.h"
#include "engine/kv/prefix_cache.h"
#include "engine/sched/batch.h"
#include "engine/sched/sequence.h"

namespace swarm::engine::sched {

inline constexpr int32_t kAgingSteps = 256;

struct SchedulerLimits {
  int32_t page_count = 0;
  int32_t page_tokens = 16;
  int32_t max_running = 16;
  int32_t max_resident = 64;
  int32_t prefill_batch_tokens = 512;
  int32_t queue_depth_max = 1024;
  int32_t context = 0;                // tokens

  int32_t step_tokens_max() const;    // most tokens one plan can hold
};

class Scheduler {
 public:
  explicit Scheduler(const SchedulerLimits& limits);
  ~Scheduler();

  // generates: room for a token is wanted behind it.
  Result<void> check_prompt(size_t tokens, bool generates) const;
  // Refused: empty or too long prompt, full queue, more pages than there are.
  Result<SequenceId> add(NewSequence spec);
  StepPlan plan(TimePoint now);
  void complete(const StepPlan& plan);                // the forward pass of plan has run
  void append(SequenceId id, TokenId token);          // room is the caller's duty (new_tokens_max)
  // Gives all pages back, to the cache or to the pool.
  void finish(SequenceId id, TimePoint now);
  // The same, but what it computed is not to be trusted: nothing unshared stays in the cache.
  void discard(SequenceId id, TimePoint now);
  // See PrefixCache.
  void forget(std::span<const TokenId> tokens, int32_t from) { cache_.forget(tokens, from); }
  void unpin(uint64_t owner) { cache_.unpin(owner); }
  // Lets a later sequence with the same tokens share everything computed so far.
  void share(SequenceId id);
  std::vector<SequenceId> expired(TimePoint now) const;

  const Sequence& sequence(SequenceId id) const;
  bool contains(SequenceId id) const { return sequences_.contains(id); }
  bool idle() const { return sequences_.empty(); }
  int32_t waiting_count() const;
  int32_t resident_count() const;
  const kv::PagePool& pool() const { return pool_; }
  const kv::PrefixCache& cache() const { return cache_; }
  void clear_cache() { cache_.clear(); }
  void check_integrity() const;       // O(pages + tokens)

 private:
  Sequence& find(SequenceId id);
  std::vector<Sequence*> in_order(bool resident);
  void age_waiting();
  void plan_decode(StepPlan& plan, int32_t& left);
  void plan_admission(StepPlan& plan);
  void plan_prefill(StepPlan& plan, int32_t left);
  bool make_room(Sequence& sequence, int32_t tokens, StepPlan& plan);
  bool waits_for_twin(Sequence& sequence);
  bool admit(Sequence& sequence, StepPlan& plan);
  bool try_attach(Sequence& sequence, kv::Pressure pressure, StepPlan& plan);
  Sequence* victim_for(const Sequence& sequence);
  bool preempting_helps(const Sequence& sequence) const;
  void preempt(Sequence& sequence, StepPlan& plan);
  void enter_chunk(StepPlan& plan, const Sequence& sequence, int32_t count);
  std::span<const TokenId> matchable(const Sequence& sequence) const;
  Error too_large(int64_t tokens) const;
  int32_t pins_max() const;

  SchedulerLimits limits_;
  kv::PagePool pool_;
  kv::PrefixCache cache_;
  std::map<SequenceId, std::unique_ptr<Sequence>> sequences_;
  SequenceId next_id_ = 1;
  TimePoint now_{};
};

}  // namespace swarm::engine::sched
