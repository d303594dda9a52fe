// engine/generation.h — The text side of one request after its prompt: sampling, grammar, forced
// spans, token budget, reasoning budget, stop tokens. Knows nothing of pages or batches.
//
// Budget rule: with a grammar, a token is taken only if the shortest legal end still fits after it;
// otherwise that end is appended at once (closing) and the output ends with Finish::length: always
// valid, and never mistaken for what the model would have said.
// Reasoning rule: after think_tokens_max tokens since <think> without </think>, the closing text of
// reference/engine.md section 12 is appended (forced), as far as grammar and budget allow.
// Not thread-safe (engine thread).
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/constraint.h"
#include "engine/engine.h"

namespace swarm::engine {

// Control tokens of reasoning models; -1 where the vocabulary has none.
struct ThinkMarkers {
  TokenId begin = -1;
  TokenId end = -1;
  std::vector<TokenId> closing = {};  // the helper text, with `end` inside
};

struct NewToken {
  TokenId token = -1;
  float logprob = 0;                // 0 for forced tokens
  bool forced = false;
  bool closing = false;             // forced by the budget
  std::vector<TokenLogprob> top = {};
};

// What one step adds. Valid until the next call.
struct Advance {
  std::vector<NewToken> tokens;
  Finish finish = Finish::none;
  std::string error;
};

class Generation {
 public:
  // budget: new tokens at most (max_tokens, bounded by the context). think outlives the object.
  Generation(const Request& request, std::unique_ptr<Constraint> constraint, int32_t budget,
             int32_t vocab, const ThinkMarkers& think);
  // Continues `parent` under another request: same grammar state, same penalties seen.
  Generation(const Generation& parent, const Request& request, int32_t budget);

  // Why the request can never be answered; "" when it can.
  std::string refusal() const;
  // Tokens that stand before anything is sampled.
  const Advance& start();
  // The next choice to be made from the model's logits; valid until advance().
  SampleJob job();
  // Appends the token chosen for job() and what follows from it.
  const Advance& advance(Sampled sampled);

  bool has_constraint() const { return constraint_ != nullptr; }
  bool started() const { return started_; }

 private:
  void take(TokenId token, bool forced, Sampled* sampled);
  void settle();
  bool append_forced(std::span<const TokenId> tokens);
  void append_completion();
  void close_thinking();
  bool only_end_allowed();
  void fill_mask();
  bool is_stop(TokenId token) const;
  int32_t shortest_end(const Constraint& constraint) const;   // INT32_MAX: none

  Sampler sampler_;
  std::unique_ptr<Constraint> constraint_;
  std::vector<TokenId> stop_tokens_;
  std::vector<TokenId> seen_prompt_;   // for forks: what the penalties saw
  std::vector<TokenId> seen_output_;
  std::vector<uint32_t> mask_;
  bool mask_filled_ = false;
  bool started_ = false;
  int32_t vocab_;
  int32_t left_;                       // tokens that may still be added
  const ThinkMarkers* think_;
  int32_t think_max_ = -1;
  int32_t think_count_ = 0;
  bool thinking_ = false;
  Advance advance_;
};

}  // namespace swarm::engine
