#include "engine/generation.h"

#include <algorithm>
#include <bit>

#include "engine/base/check.h"

namespace swarm::engine {
namespace {

// Reasoning is open when the last marker is the opening one.
bool reasoning_open(std::span<const TokenId> tokens, const ThinkMarkers& think) {
  for (size_t i = tokens.size(); i-- > 0;) {
    if (tokens[i] == think.end) return false;
    if (tokens[i] == think.begin) return true;
  }
  return false;
}

}  // namespace

Generation::Generation(const Request& request, std::unique_ptr<Constraint> constraint,
                       int32_t budget, int32_t vocab, const ThinkMarkers& think)
    : sampler_(request.sampling), constraint_(std::move(constraint)),
      stop_tokens_(request.stop_tokens), seen_prompt_(request.prompt), vocab_(vocab),
      left_(budget), think_(&think), think_max_(request.think_tokens_max) {
  sampler_.observe_prompt(seen_prompt_);
  thinking_ = think.begin >= 0 && reasoning_open(seen_prompt_, think);
}

Generation::Generation(const Generation& parent, const Request& request, int32_t budget)
    : sampler_(request.sampling),
      constraint_(parent.constraint_ ? parent.constraint_->clone() : nullptr),
      stop_tokens_(request.stop_tokens), seen_prompt_(parent.seen_prompt_),
      seen_output_(parent.seen_output_), started_(parent.started_), vocab_(parent.vocab_),
      left_(budget), think_(parent.think_), think_max_(request.think_tokens_max),
      think_count_(parent.think_count_), thinking_(parent.thinking_) {
  sampler_.observe_prompt(seen_prompt_);
  for (const TokenId token : seen_output_) sampler_.observe_output(token);
}

std::string Generation::refusal() const {
  if (!constraint_) return "";
  const int32_t needed = shortest_end(*constraint_);
  if (needed == INT32_MAX) return "grammar: no finite output satisfies it";
  if (needed <= left_) return "";
  return "max_tokens: expected at least " + std::to_string(needed) +
         " tokens for the shortest output the grammar allows, found " + std::to_string(left_);
}

int32_t Generation::shortest_end(const Constraint& constraint) const {
  const auto completion = constraint.completion();
  return completion ? static_cast<int32_t>(completion->size()) : INT32_MAX;
}

bool Generation::is_stop(TokenId token) const {
  return std::ranges::find(stop_tokens_, token) != stop_tokens_.end();
}

const Advance& Generation::start() {
  advance_ = {};
  SWARM_CHECK(!started_);
  started_ = true;
  settle();
  return advance_;
}

SampleJob Generation::job() {
  if (constraint_) fill_mask();
  return sampler_.job(mask_, vocab_);
}

const Advance& Generation::advance(Sampled sampled) {
  advance_ = {};
  if (sampled.invalid) {
    advance_.finish = Finish::failed;
    advance_.error = "the model produced logits that are not numbers";
    return advance_;
  }
  if (constraint_) {
    std::unique_ptr<Constraint> next = constraint_->clone();
    SWARM_CHECK(next->accept(sampled.token), sampled.token);
    if (next->ended() || (is_stop(sampled.token) && constraint_->may_end())) {
      advance_.finish = Finish::stop;
      return advance_;
    }
    if (shortest_end(*next) > left_ - 1) {
      append_completion();
      return advance_;
    }
    constraint_ = std::move(next);
  } else if (is_stop(sampled.token)) {
    advance_.finish = Finish::stop;
    return advance_;
  }
  take(sampled.token, false, &sampled);
  settle();
  return advance_;
}

// Books a token that the grammar (if any) has accepted already.
void Generation::take(TokenId token, bool forced, Sampled* sampled) {
  SWARM_CHECK(left_ > 0, token);
  --left_;
  mask_filled_ = false;
  sampler_.observe_output(token);
  seen_output_.push_back(token);
  if (token == think_->begin) {
    thinking_ = true;                 // the budget counts all reasoning together
  } else if (token == think_->end) {
    thinking_ = false;
  } else if (thinking_) {
    ++think_count_;
  }
  NewToken added{.token = token, .forced = forced};
  if (sampled != nullptr) {
    added.logprob = sampled->logprob;
    added.top = std::move(sampled->top);
  }
  advance_.tokens.push_back(std::move(added));
}

// Appends what needs no choice, and notices the end.
void Generation::settle() {
  while (true) {
    if (left_ == 0) {
      advance_.finish = constraint_ && only_end_allowed() ? Finish::grammar_end : Finish::length;
      return;
    }
    if (thinking_ && think_max_ >= 0 && think_count_ >= think_max_) {
      close_thinking();
      if (advance_.finish != Finish::none) return;
      if (left_ == 0) continue;
    }
    if (!constraint_) return;
    const std::vector<TokenId> forced = constraint_->forced();
    if (forced.empty()) break;
    if (!append_forced(forced)) return append_completion();
  }
  if (only_end_allowed()) advance_.finish = Finish::grammar_end;
}

// All of them or none: false when the shortest end would no longer fit behind them.
bool Generation::append_forced(std::span<const TokenId> tokens) {
  const auto count = static_cast<int32_t>(tokens.size());
  if (count > left_) return false;
  std::unique_ptr<Constraint> next = constraint_->clone();
  for (const TokenId token : tokens) SWARM_CHECK(next->accept(token), token);
  if (shortest_end(*next) > left_ - count) return false;
  constraint_ = std::move(next);
  for (const TokenId token : tokens) take(token, true, nullptr);
  return true;
}

void Generation::append_completion() {
  const auto completion = constraint_->completion();
  SWARM_CHECK(completion && std::ssize(*completion) <= left_, left_);
  for (const TokenId token : *completion) {
    SWARM_CHECK(constraint_->accept(token), token);
    take(token, true, nullptr);
    advance_.tokens.back().closing = true;
  }
  SWARM_CHECK(constraint_->may_end());
  advance_.finish = Finish::length;
}

void Generation::close_thinking() {
  if (think_->closing.empty()) {
    think_max_ = -1;
    return;
  }
  const auto count = static_cast<int32_t>(think_->closing.size());
  if (!constraint_) {
    for (const TokenId token : think_->closing)
      if (left_ > 0) take(token, true, nullptr);
    return;
  }
  std::unique_ptr<Constraint> next = constraint_->clone();
  bool fits = count <= left_;
  for (size_t i = 0; fits && i < think_->closing.size(); ++i)
    fits = next->accept(think_->closing[i]);
  if (!fits || shortest_end(*next) > left_ - count) {
    // No room for the text, or the grammar wants something else: close with the bare marker.
    next = constraint_->clone();
    if (!next->accept(think_->end) || shortest_end(*next) > left_ - 1) {
      think_max_ = -1;                // the budget rule ends it
      return;
    }
    constraint_ = std::move(next);
    return take(think_->end, true, nullptr);
  }
  constraint_ = std::move(next);
  for (const TokenId token : think_->closing) take(token, true, nullptr);
}

void Generation::fill_mask() {
  if (mask_filled_) return;
  mask_.assign((static_cast<size_t>(vocab_) + 31) / 32, 0);
  constraint_->fill_mask(mask_);
  mask_filled_ = true;
}

// True when every allowed token ends the output: then nothing is left to choose.
bool Generation::only_end_allowed() {
  if (!constraint_->may_end()) return false;
  fill_mask();
  int bits = 0;
  for (const uint32_t word : mask_) bits += std::popcount(word);
  if (bits > 8) return false;
  for (int32_t token = 0; token < vocab_; ++token) {
    if ((mask_[static_cast<size_t>(token) / 32] >> (token % 32) & 1u) == 0) continue;
    const std::unique_ptr<Constraint> next = constraint_->clone();
    if (!next->accept(token) || !next->ended()) return false;
  }
  return true;
}

}  // namespace swarm::engine
