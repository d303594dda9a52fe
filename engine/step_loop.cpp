#include "engine/step_loop.h"

#include <algorithm>
#include <exception>

#include "engine/base/check.h"

namespace swarm::engine {
namespace {

Result<void> check_tokens(const char* field, std::span<const TokenId> tokens, int32_t vocab) {
  for (const TokenId token : tokens)
    if (token < 0 || token >= vocab)
      return invalid_input(std::string(field) + ": expected token ids in [0, " +
                           std::to_string(vocab) + "), found " + std::to_string(token));
  return {};
}

Result<void> check_at_least(const char* field, int64_t value, int64_t least) {
  if (value >= least) return {};
  return invalid_input(std::string(field) + ": expected at least " + std::to_string(least) +
                       ", found " + std::to_string(value));
}

}  // namespace

StepLoop::StepLoop(model::Transformer& transformer, StepLoopOptions options, const Clock& clock)
    : transformer_(transformer), options_(std::move(options)), clock_(clock),
      scheduler_(options_.limits) {
  SWARM_CHECK(options_.vocab >= 1 && options_.vocab <= transformer.config().vocab,
              options_.vocab, transformer.config().vocab);
}

Result<void> StepLoop::check(const Request& request) const {
  SWARM_TRY_VOID(request.sampling.validate());
  SWARM_TRY_VOID(check_tokens("prompt", request.prompt, transformer_.config().vocab));
  SWARM_TRY_VOID(check_tokens("stop_tokens", request.stop_tokens, transformer_.config().vocab));
  SWARM_TRY_VOID(check_at_least("max_tokens", request.max_tokens, 1));
  SWARM_TRY_VOID(check_at_least("think_tokens_max", request.think_tokens_max, -1));
  if (request.think_tokens_max >= 0 && options_.think.begin < 0)
    return invalid_input("think_tokens_max: the vocabulary of this model has no <think> and "
                         "</think>, whose text it would bound");
  SWARM_TRY_VOID(check_at_least("keep_for", request.hints.keep_for.count(), 0));
  SWARM_TRY_VOID(check_at_least("pin_prefix_tokens", request.hints.pin_prefix_tokens, 0));
  return {};
}

Result<RequestId> StepLoop::submit(Request request, std::unique_ptr<Constraint> constraint) {
  SWARM_TRY_VOID(check(request));
  // First: whatever else is wrong with a prompt that is too long, that is the reason.
  SWARM_TRY_VOID(scheduler_.check_prompt(request.prompt.size(), !request.prefill_only));
  const int64_t room = options_.limits.context - static_cast<int64_t>(request.prompt.size());
  const auto budget = static_cast<int32_t>(std::min<int64_t>(request.max_tokens, room));
  request.max_tokens = budget;
  Generation generation(request, std::move(constraint), budget, options_.vocab, options_.think);
  return enter(std::move(request), std::move(generation));
}

Result<RequestId> StepLoop::fork(RequestId parent, Request request) {
  const auto found = live_.find(parent);
  if (found == live_.end() || found->second.prefill_only)
    return invalid_input("fork: request " + std::to_string(parent.value) +
                         " is not generating any more");
  request.prompt = scheduler_.sequence(parent.value).tokens();
  SWARM_TRY_VOID(check(request));
  if (request.prefill_only) return invalid_input("fork: expected prefill_only false, found true");
  const int32_t room = options_.limits.context - static_cast<int32_t>(request.prompt.size());
  request.max_tokens = std::min(request.max_tokens, room);
  scheduler_.share(parent.value);
  Generation generation(found->second.generation, request, request.max_tokens);
  return enter(std::move(request), std::move(generation));
}

Result<RequestId> StepLoop::enter(Request request, Generation generation) {
  if (!lost_.empty()) return environment_error(lost_);
  const auto prompt_tokens = static_cast<int32_t>(request.prompt.size());
  if (std::string reason = generation.refusal(); !reason.empty() && !request.prefill_only) {
    if (prompt_tokens + request.max_tokens >= options_.limits.context)
      reason += "; a prompt of " + std::to_string(prompt_tokens) +
                " tokens leaves no more in a context of " +
                std::to_string(options_.limits.context);
    return invalid_input(reason);
  }
  SWARM_TRY(const sched::SequenceId id,
            scheduler_.add({.tokens = std::move(request.prompt),
                            .new_tokens_max = request.prefill_only ? 0 : request.max_tokens,
                            .priority = request.priority,
                            .deadline = request.deadline,
                            .keep_for = request.hints.keep_for,
                            .pin_tokens = request.hints.pin_prefix_tokens,
                            .pin_owner = request.hints.pin_owner,
                            .drop = request.hints.drop}));
  Live live{.generation = std::move(generation), .prefill_only = request.prefill_only};
  live.report.prompt_tokens = prompt_tokens;
  live.submitted = clock_.now();
  stats_.prompt_tokens_submitted += static_cast<uint64_t>(prompt_tokens);
  if (!live.prefill_only && !live.generation.started()) unstarted_.push_back(RequestId{id});
  live_.emplace(RequestId{id}, std::move(live));
  return RequestId{id};
}

void StepLoop::cancel(RequestId id) {
  if (const auto found = live_.find(id); found != live_.end()) found->second.cancelled = true;
}

std::span<const Output> StepLoop::step(const Engine::Began& began) {
  outputs_.clear();
  const TimePoint now = clock_.now();
  end_early(now);
  start_new();
  if (live_.empty()) return outputs_;
  const sched::StepPlan plan = scheduler_.plan(now);
  book_plan(plan, now, began);
  if (!plan.chunks.empty()) {
    ++stats_.steps;
    if (run_model(plan)) {
      scheduler_.complete(plan);
      advance(plan);
    }
  }
  for (const sched::Refusal& refusal : plan.impossible)
    if (live_.contains(RequestId{refusal.id}))
      finish(RequestId{refusal.id}, Finish::failed, refusal.reason);
  return outputs_;
}

void StepLoop::end_early(TimePoint now) {
  std::vector<RequestId> cancelled;
  for (const auto& [id, live] : live_)
    if (live.cancelled) cancelled.push_back(id);
  for (const RequestId id : cancelled) finish(id, Finish::cancelled);
  for (const sched::SequenceId id : scheduler_.expired(now))
    finish(RequestId{id}, Finish::deadline);
}

// Text that a grammar forces before the first choice is known without the model; it is computed
// together with the prompt.
void StepLoop::start_new() {
  for (const RequestId id : std::exchange(unstarted_, {}))
    if (const auto found = live_.find(id); found != live_.end())
      emit(id, found->second.generation.start());
}

void StepLoop::book_plan(const sched::StepPlan& plan, TimePoint now,
                         const Engine::Began& began) {
  for (const sched::SequenceId id : plan.preempted) {
    ++live_.at(RequestId{id}).report.preemptions;
    ++stats_.preemptions;
  }
  for (const sched::Chunk& chunk : plan.chunks) {
    Live& live = live_.at(RequestId{chunk.id});
    if (!live.computed_first && began) began(RequestId{chunk.id});
    if (!live.computed_first) live.computed_first = now;
    const int32_t end = std::min(chunk.first + chunk.count, live.report.prompt_tokens);
    const int32_t of_prompt = std::max(0, end - chunk.first);
    live.report.computed_tokens += of_prompt;
    stats_.prompt_tokens_computed += static_cast<uint64_t>(of_prompt);
    if (!chunk.decode) continue;
    live.report.batch_max = std::max(live.report.batch_max, plan.decode_count);
    live.batch_sum += plan.decode_count;
    ++live.decode_steps;
  }
  for (const sched::Admission& admission : plan.admitted) {
    const RequestId id{admission.id};
    Live& live = live_.at(id);
    if (!live.fits_once) {            // found again after a preemption: not a saving
      live.fits_once = true;
      live.report.cached_tokens = std::min(admission.cached_tokens, live.report.prompt_tokens);
      stats_.prompt_tokens_cached += static_cast<uint64_t>(live.report.cached_tokens);
    }
    if (!live.prefill_only || scheduler_.sequence(id.value).pending() > 0) continue;
    live.computed_first = now;
    finish(id, Finish::stop);         // everything was there already
  }
}

// Logits, and from them one token per sequence in sampled_. False when the model failed; then every
// request has been ended.
bool StepLoop::run_model(const sched::StepPlan& plan) {
  std::string reason;
  ErrorKind kind = ErrorKind::failed;
  try {
    forward(plan);
    return true;
  } catch (const ErrorException& error) {
    reason = error.error().message;
    kind = error.error().kind;
    if (kind == ErrorKind::environment) lost_ = reason;
  } catch (const std::exception& error) {
    reason = error.what();
  }
  reason = "the forward pass failed: " + reason;
  while (!live_.empty()) finish(live_.begin()->first, Finish::failed, reason, kind);
  scheduler_.clear_cache();           // copies may be half done
  return false;
}

void StepLoop::forward(const sched::StepPlan& plan) {
  chunks_.clear();
  choosing_.clear();
  jobs_.clear();
  for (const sched::Chunk& chunk : plan.chunks) {
    const sched::Sequence& sequence = scheduler_.sequence(chunk.id);
    Live& live = live_.at(RequestId{chunk.id});
    const bool wanted = chunk.reaches_end && !live.prefill_only;
    const auto end = static_cast<size_t>(sequence.table.pages_for(chunk.first + chunk.count));
    chunks_.push_back({.tokens = std::span(sequence.tokens())
                                     .subspan(static_cast<size_t>(chunk.first),
                                              static_cast<size_t>(chunk.count)),
                       .position = chunk.first,
                       .pages = sequence.table.pages().first(end),
                       .logits = wanted ? model::LogitsWanted::last : model::LogitsWanted::none});
    if (!wanted) continue;
    choosing_.push_back(RequestId{chunk.id});
    jobs_.push_back(live.generation.job());
  }
  for (const kv::PageCopy& copy : plan.copies)
    if (copy.from != copy.to) transformer_.copy_page(copy.from, copy.to);
  const int32_t rows = transformer_.forward(chunks_);
  SWARM_CHECK(rows == std::ssize(jobs_), rows, jobs_.size());
  sampled_.assign(jobs_.size(), {});
  if (rows > 0) transformer_.sample(jobs_, sampled_);
}

void StepLoop::advance(const sched::StepPlan& plan) {
  const TimePoint now = clock_.now();
  for (const sched::Chunk& chunk : plan.chunks)
    if (chunk.reaches_end && live_.at(RequestId{chunk.id}).prefill_only)
      finish(RequestId{chunk.id}, Finish::stop);
  for (size_t i = 0; i < choosing_.size(); ++i) {
    Live& live = live_.at(choosing_[i]);
    if (!live.token_first) live.token_first = now;
    emit(choosing_[i], live.generation.advance(std::move(sampled_[i])));
  }
}

void StepLoop::emit(RequestId id, const Advance& advance) {
  Live& live = live_.at(id);
  for (const NewToken& added : advance.tokens) {
    scheduler_.append(id.value, added.token);
    ++live.report.output_tokens;
    live.report.forced_tokens += added.forced ? 1 : 0;
    live.report.closing_tokens += added.closing ? 1 : 0;
    Output output;
    output.id = id;
    output.token = added.token;
    output.logprob = added.logprob;
    output.forced = added.forced;
    output.closing = added.closing;
    output.top = added.top;
    outputs_.push_back(std::move(output));
  }
  if (advance.finish != Finish::none) finish(id, advance.finish, advance.error);
}

// The final Output: the last token of this step if the request has one, else a bare one.
void StepLoop::finish(RequestId id, Finish finish, std::string error, ErrorKind kind) {
  const auto found = live_.find(id);
  Live& live = found->second;
  const TimePoint now = clock_.now();
  const TimePoint computed_first = live.computed_first.value_or(now);
  const TimePoint token_first = live.token_first.value_or(now);
  live.report.queue = computed_first - live.submitted;
  live.report.prefill = token_first - computed_first;
  live.report.decode = now - token_first;
  if (live.decode_steps > 0)
    live.report.batch_mean = static_cast<double>(live.batch_sum) / live.decode_steps;
  stats_.output_tokens += static_cast<uint64_t>(live.report.output_tokens);
  stats_.forced_tokens += static_cast<uint64_t>(live.report.forced_tokens);
  if (outputs_.empty() || outputs_.back().id != id) {
    outputs_.emplace_back();
    outputs_.back().id = id;
  }
  outputs_.back().finish = finish;
  outputs_.back().report = live.report;
  outputs_.back().error = std::move(error);
  outputs_.back().error_kind = kind;
  if (finish == Finish::failed)
    scheduler_.discard(id.value, now);
  else
    scheduler_.finish(id.value, now);
  live_.erase(found);
}

EngineStats StepLoop::stats() const {
  EngineStats stats = stats_;
  stats.waiting = scheduler_.waiting_count();
  stats.running = scheduler_.resident_count();
  stats.pages_total = scheduler_.pool().total();
  stats.pages_free = scheduler_.pool().free_count();
  stats.pages_cached = scheduler_.cache().unused_count();
  stats.evicted_pages = scheduler_.cache().evicted_count();
  return stats;
}

void StepLoop::check_integrity() const {
  scheduler_.check_integrity();
  for (const auto& [id, live] : live_) SWARM_CHECK(scheduler_.contains(id.value), id);
  SWARM_CHECK(live_.empty() == scheduler_.idle(), live_.size());
}

}  // namespace swarm::engine
