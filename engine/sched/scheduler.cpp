#include "engine/sched/scheduler.h"

#include <algorithm>

#include "engine/base/check.h"

namespace swarm::engine::sched {

int32_t SchedulerLimits::step_tokens_max() const {
  return std::max(prefill_batch_tokens, max_running + 1);
}

Scheduler::Scheduler(const SchedulerLimits& limits)
    : limits_(limits), pool_(limits.page_count), cache_(pool_, limits.page_tokens) {
  SWARM_CHECK(limits.max_running >= 1 && limits.max_resident >= limits.max_running,
              limits.max_running, limits.max_resident);
  SWARM_CHECK(limits.prefill_batch_tokens >= 1 && limits.context >= 2, limits.context);
}

Scheduler::~Scheduler() {
  for (auto& [id, sequence] : sequences_)
    if (sequence->resident()) sequence->table.release({}, 0, {.drop = true}, now_);
}

Result<void> Scheduler::check_prompt(size_t tokens, bool generates) const {
  const auto prompt = static_cast<int64_t>(tokens);
  if (prompt == 0) return invalid_input("prompt: expected at least 1 token, found 0");
  const int64_t room = limits_.context - (generates ? 1 : 0);
  if (prompt <= room) return {};
  return invalid_input("prompt: expected at most " + std::to_string(room) +
                       " tokens for a context of " + std::to_string(limits_.context) +
                       ", found " + std::to_string(prompt));
}

Result<SequenceId> Scheduler::add(NewSequence spec) {
  SWARM_TRY_VOID(check_prompt(spec.tokens.size(), spec.new_tokens_max > 0));
  const auto prompt = static_cast<int64_t>(spec.tokens.size());
  if (waiting_count() >= limits_.queue_depth_max)
    return Error{ErrorKind::overloaded, "queue is full: " + std::to_string(waiting_count()) +
                                            " requests wait, queue_depth_max is " +
                                            std::to_string(limits_.queue_depth_max)};
  // The newest token needs no page until the one after it is wanted.
  const int64_t tokens = std::min<int64_t>(limits_.context,
                                           prompt + std::max(0, spec.new_tokens_max - 1));
  auto sequence = std::make_unique<Sequence>(next_id_, std::move(spec), pool_, cache_);
  if (sequence->table.pages_for(tokens) > pool_.total()) return too_large(tokens);
  sequences_.emplace(next_id_, std::move(sequence));
  return next_id_++;
}

Error Scheduler::too_large(int64_t tokens) const {
  const int64_t pages = (tokens + limits_.page_tokens - 1) / limits_.page_tokens;
  return invalid_input("request needs " + std::to_string(pages) + " KV pages for " +
                       std::to_string(tokens) + " tokens, the cache has " +
                       std::to_string(pool_.total()) + " of " +
                       std::to_string(limits_.page_tokens) +
                       " tokens; raise engine.kv_bytes_max or lower max_tokens");
}

StepPlan Scheduler::plan(TimePoint now) {
  now_ = now;
  StepPlan plan;
  age_waiting();
  int32_t left = limits_.prefill_batch_tokens;
  plan_decode(plan, left);
  plan_admission(plan);
  plan_prefill(plan, left);
  return plan;
}

std::vector<Sequence*> Scheduler::in_order(bool resident) {
  std::vector<Sequence*> found;
  for (auto& [id, sequence] : sequences_)
    if (sequence->resident() == resident) found.push_back(sequence.get());
  std::sort(found.begin(), found.end(),
            [](const Sequence* a, const Sequence* b) { return a->before(*b); });
  return found;
}

void Scheduler::age_waiting() {
  for (auto& [id, sequence] : sequences_) {
    if (sequence->resident() || ++sequence->steps_waited < kAgingSteps) continue;
    sequence->steps_waited = 0;
    if (sequence->level < INT32_MAX) ++sequence->level;
  }
}

void Scheduler::plan_decode(StepPlan& plan, int32_t& left) {
  std::vector<Sequence*> chosen = in_order(true);
  std::erase_if(chosen, [](const Sequence* s) { return s->phase != Phase::decoding; });
  if (std::ssize(chosen) > limits_.max_running)
    chosen.resize(static_cast<size_t>(limits_.max_running));
  left = std::max(1, left - static_cast<int32_t>(chosen.size()));
  // One token stays for prompts: long forced spans would keep them from moving at all.
  const int32_t reserved = std::ranges::any_of(sequences_, [](const auto& entry) {
    return entry.second->phase != Phase::decoding;
  }) ? 1 : 0;
  for (Sequence* sequence : chosen) {
    if (!sequence->resident()) continue;   // preempted for one before it
    SWARM_CHECK(sequence->pending() >= 1, sequence->id);
    const int32_t extra = std::min(left - reserved, sequence->pending() - 1);   // a forced span
    if (!make_room(*sequence, sequence->computed + 1 + extra, plan)) continue;
    left -= extra;
    enter_chunk(plan, *sequence, 1 + extra);
    ++plan.decode_count;
  }
}

// Pages for the first `tokens` of a resident sequence, taken from the end of the order if need be.
bool Scheduler::make_room(Sequence& sequence, int32_t tokens, StepPlan& plan) {
  while (!sequence.table.reserve(tokens, now_, kv::Pressure::polite)) {
    const std::vector<Sequence*> residents = in_order(true);
    if (residents.size() == 1) {
      if (sequence.table.reserve(tokens, now_, kv::Pressure::last_resort)) return true;
      plan.impossible.push_back({.id = sequence.id, .reason = too_large(tokens).message});
      return false;
    }
    preempt(*residents.back(), plan);
    if (residents.back() == &sequence) return false;
  }
  return true;
}

void Scheduler::preempt(Sequence& sequence, StepPlan& plan) {
  sequence.table.release(sequence.tokens(), sequence.computed, {}, now_);
  sequence.computed = 0;
  sequence.phase = Phase::waiting;
  plan.preempted.push_back(sequence.id);
}

void Scheduler::enter_chunk(StepPlan& plan, const Sequence& sequence, int32_t count) {
  plan.chunks.push_back({.id = sequence.id, .first = sequence.computed, .count = count,
                         .reaches_end = count == sequence.pending(),
                         .decode = sequence.phase == Phase::decoding});
}

void Scheduler::plan_admission(StepPlan& plan) {
  if (!plan.preempted.empty()) return;   // no room, and nobody overtakes the preempted
  for (Sequence* sequence : in_order(false)) {
    if (waits_for_twin(*sequence)) continue;
    if (!admit(*sequence, plan)) return;
  }
}

// Everything may come from the cache except the token whose logits are wanted.
std::span<const TokenId> Scheduler::matchable(const Sequence& sequence) const {
  const std::span<const TokenId> tokens = sequence.tokens();
  return sequence.spec.new_tokens_max > 0 ? tokens.first(tokens.size() - 1) : tokens;
}

bool Scheduler::waits_for_twin(Sequence& sequence) {
  if (!sequence.wait_for || !cache_.is_pending(*sequence.wait_for))
    sequence.wait_for = cache_.match(matchable(sequence)).wait_for;
  if (!sequence.wait_for) return false;
  Sequence& twin = find(sequence.wait_for->owner);
  twin.level = std::max(twin.level, sequence.level);
  return true;
}

bool Scheduler::admit(Sequence& sequence, StepPlan& plan) {
  const bool may_preempt = preempting_helps(sequence);
  while (true) {
    const int32_t residents = resident_count();
    if (residents < limits_.max_resident) {
      if (try_attach(sequence, kv::Pressure::polite, plan)) return true;
      if (residents == 0) {
        if (try_attach(sequence, kv::Pressure::last_resort, plan)) return true;
        plan.impossible.push_back(
            {.id = sequence.id, .reason = too_large(sequence.size()).message});
        return false;
      }
    }
    Sequence* victim = may_preempt ? victim_for(sequence) : nullptr;
    if (victim == nullptr) return false;
    const auto erased =
        std::erase_if(plan.chunks, [&](const Chunk& chunk) { return chunk.id == victim->id; });
    plan.decode_count -= static_cast<int32_t>(erased);
    preempt(*victim, plan);
  }
}

// The last of the order, if the priority of `sequence` lets it take that one's place.
Sequence* Scheduler::victim_for(const Sequence& sequence) {
  const std::vector<Sequence*> residents = in_order(true);
  Sequence* last = residents.empty() ? nullptr : residents.back();
  return last != nullptr && last->level < sequence.spec.priority ? last : nullptr;
}

// An upper bound: if even all pages of all possible victims are too few, nobody is preempted.
bool Scheduler::preempting_helps(const Sequence& sequence) const {
  int64_t obtainable =
      pool_.free_count() + cache_.evictable_count(now_, kv::Pressure::polite);
  for (const auto& [id, other] : sequences_)
    if (other->resident() && other->level < sequence.spec.priority)
      obtainable += std::ssize(other->table.pages());
  return obtainable >= sequence.table.pages_for(sequence.size()) -
                           std::ssize(cache_.match(matchable(sequence)).nodes);
}

bool Scheduler::try_attach(Sequence& sequence, kv::Pressure pressure, StepPlan& plan) {
  const kv::PrefixMatch match = cache_.match(matchable(sequence));
  const int32_t spare = resident_count() > 0 ? 1 : 0;
  const auto attached =
      sequence.table.attach(match, sequence.tokens(), sequence.id, spare, now_, pressure);
  if (!attached) return false;
  if (attached->copy) plan.copies.push_back(*attached->copy);
  sequence.computed = attached->cached_tokens;
  sequence.phase = Phase::prefilling;
  plan.admitted.push_back({.id = sequence.id, .cached_tokens = attached->cached_tokens});
  return true;
}

void Scheduler::plan_prefill(StepPlan& plan, int32_t left) {
  for (Sequence* sequence : in_order(true)) {
    if (sequence->phase != Phase::prefilling) continue;
    const int32_t count = std::min(left, sequence->pending());
    if (count == 0) continue;
    left -= count;
    enter_chunk(plan, *sequence, count);
  }
}

void Scheduler::complete(const StepPlan& plan) {
  for (const Chunk& chunk : plan.chunks) {
    Sequence& sequence = find(chunk.id);
    SWARM_CHECK(sequence.computed == chunk.first, chunk.id, sequence.computed, chunk.first);
    sequence.computed += chunk.count;
    sequence.table.commit(sequence.tokens(), sequence.computed);
    if (chunk.reaches_end) sequence.phase = Phase::decoding;
  }
}

void Scheduler::append(SequenceId id, TokenId token) { find(id).spec.tokens.push_back(token); }

void Scheduler::finish(SequenceId id, TimePoint now) {
  now_ = std::max(now_, now);
  Sequence& sequence = find(id);
  if (sequence.resident()) {
    const NewSequence& spec = sequence.spec;
    const bool keeps = spec.keep_for.count() > 0;
    // A time beyond the clock's range means for ever; adding it would overflow.
    const bool for_ever = spec.keep_for >= std::chrono::floor<std::chrono::milliseconds>(
                                               TimePoint::max() - std::max(now, TimePoint{}));
    const TimePoint until = for_ever ? TimePoint::max() : now + spec.keep_for;
    sequence.table.release(sequence.tokens(), sequence.computed,
                           {.keep_until = keeps ? until : TimePoint::min(),
                            .pin_tokens = spec.pin_tokens,
                            .pin_owner = spec.pin_owner,
                            .pins_max = pins_max(),
                            .drop = spec.drop},
                           now_);
  }
  sequences_.erase(id);
}

int32_t Scheduler::pins_max() const {
  const int32_t of_context =
      (limits_.context + limits_.page_tokens - 1) / limits_.page_tokens;
  return std::max(0, pool_.total() - of_context - 1);   // 1: admission wants a spare page
}

void Scheduler::discard(SequenceId id, TimePoint now) {
  Sequence& sequence = find(id);
  sequence.spec.keep_for = {};
  sequence.spec.pin_tokens = 0;
  sequence.spec.drop = true;
  finish(id, now);
}

void Scheduler::share(SequenceId id) {
  Sequence& sequence = find(id);
  if (sequence.resident()) sequence.table.share_tail(sequence.tokens(), sequence.computed);
}

std::vector<SequenceId> Scheduler::expired(TimePoint now) const {
  std::vector<SequenceId> found;
  for (const auto& [id, sequence] : sequences_)
    if (sequence->spec.deadline.passed(now)) found.push_back(id);
  return found;
}

Sequence& Scheduler::find(SequenceId id) {
  const auto found = sequences_.find(id);
  SWARM_CHECK(found != sequences_.end(), id);
  return *found->second;
}

const Sequence& Scheduler::sequence(SequenceId id) const {
  return const_cast<Scheduler&>(*this).find(id);
}

int32_t Scheduler::resident_count() const {
  int32_t count = 0;
  for (const auto& [id, sequence] : sequences_) count += sequence->resident() ? 1 : 0;
  return count;
}

int32_t Scheduler::waiting_count() const {
  return static_cast<int32_t>(sequences_.size()) - resident_count();
}

void Scheduler::check_integrity() const {
  pool_.check_integrity();
  cache_.check_integrity();
  std::vector<int32_t> counts(static_cast<size_t>(pool_.total()), 0);
  cache_.count_references(counts);
  for (const auto& [id, sequence] : sequences_) {
    sequence->table.count_references(counts);
    sequence->table.check_integrity(sequence->tokens(), sequence->computed);
    SWARM_CHECK(sequence->resident() || sequence->table.pages().empty(), id);
    SWARM_CHECK(sequence->computed <= sequence->size(), id);
  }
  for (kv::Page page = 0; page < pool_.total(); ++page)
    SWARM_CHECK(counts[static_cast<size_t>(page)] == pool_.refs(page), page,
                counts[static_cast<size_t>(page)], pool_.refs(page));
  SWARM_CHECK(resident_count() <= limits_.max_resident, resident_count());
}

}  // namespace swarm::engine::sched
