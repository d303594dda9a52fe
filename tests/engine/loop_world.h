// tests/engine/loop_world.h — A step loop over the fake transformer with a clock moved by hand.
// Checks the integrity of all pages after every step and that each request ends exactly once.
#pragma once

#include <doctest/doctest.h>

#include <algorithm>
#include <map>
#include <memory>
#include <vector>

#include "engine/step_loop.h"
#include "tests/support/fake_transformer.h"

namespace swarm::test {

namespace sched = engine::sched;
using engine::Constraint;
using engine::EngineStats;
using engine::Finish;
using engine::Output;
using engine::Report;
using engine::Request;
using engine::RequestId;
using engine::StepLoop;
using engine::ThinkMarkers;
using engine::TokenId;
using Tokens = std::vector<TokenId>;

inline constexpr int32_t kVocab = 48;

struct Answer {
  Tokens tokens;
  std::vector<bool> forced, closing;
  Finish finish = Finish::none;
  Report report;
  std::string error;
  ErrorKind error_kind = ErrorKind::failed;
};

struct LoopWorld {
  explicit LoopWorld(sched::SchedulerLimits with, ThinkMarkers think = {})
      : limits(with),
        model(kVocab, with.context, with.page_count, with.page_tokens, with.step_tokens_max()),
        loop(model, {.limits = with, .vocab = kVocab, .think = std::move(think)}, clock) {}

  RequestId add(Request request, std::unique_ptr<Constraint> constraint = nullptr) {
    const auto id = loop.submit(std::move(request), std::move(constraint));
    if (!id) FAIL(id.error().message);
    answers[*id];
    return *id;
  }

  void step() {
    for (const Output& output : loop.step()) {
      Answer& answer = answers[output.id];
      REQUIRE(answer.finish == Finish::none);   // nothing after the end
      if (output.token >= 0) {
        answer.tokens.push_back(output.token);
        answer.forced.push_back(output.forced);
        answer.closing.push_back(output.closing);
      }
      if (output.finish == Finish::none) continue;
      answer.finish = output.finish;
      answer.report = output.report;
      answer.error = output.error;
      answer.error_kind = output.error_kind;
    }
    loop.check_integrity();
    clock.advance(std::chrono::milliseconds(1));
  }

  void run(int steps_max = 100000) {
    for (int i = 0; !loop.idle(); ++i) {
      REQUIRE(i < steps_max);
      step();
    }
    for (const auto& [id, answer] : answers) REQUIRE(answer.finish != Finish::none);
  }

  // After the end nothing is in use: every page is free or cached.
  void check_nothing_leaks() {
    REQUIRE(loop.idle());
    EngineStats stats = loop.stats();
    CHECK(stats.pages_free + stats.pages_cached == stats.pages_total);
    loop.clear_cache();
    loop.check_integrity();
    CHECK(loop.stats().pages_free == stats.pages_total);
  }

  sched::SchedulerLimits limits;
  ManualClock clock;
  FakeTransformer model;
  StepLoop loop;
  std::map<RequestId, Answer> answers;
};

// Greedy tokens computed without any engine.
inline Tokens greedy_alone(Tokens prompt, int32_t count, const Tokens& stop = {}) {
  Tokens out;
  while (std::ssize(out) < count) {
    const std::vector<float> row = FakeTransformer::expected(prompt, kVocab);
    const auto token = static_cast<TokenId>(std::max_element(row.begin(), row.end()) - row.begin());
    if (std::ranges::find(stop, token) != stop.end()) break;
    out.push_back(token);
    prompt.push_back(token);
  }
  return out;
}

// A finite language: whole outputs, each ended by the stop token.
class ListLanguage final : public Constraint {
 public:
  ListLanguage(std::vector<Tokens> sentences, TokenId stop)
      : sentences_(std::move(sentences)), stop_(stop) {}

  std::unique_ptr<Constraint> clone() const override {
    return std::make_unique<ListLanguage>(*this);
  }
  void fill_mask(std::span<uint32_t> bits) const override {
    for (const Tokens& s : sentences_) {
      const TokenId next = std::ssize(s) > at_ ? s[static_cast<size_t>(at_)] : stop_;
      bits[static_cast<size_t>(next) / 32] |= 1u << (next % 32);
    }
  }
  bool accept(TokenId token) override {
    if (ended_) return false;
    if (token == stop_ && may_end()) return ended_ = true;
    std::vector<Tokens> rest;
    for (const Tokens& s : sentences_)
      if (std::ssize(s) > at_ && s[static_cast<size_t>(at_)] == token) rest.push_back(s);
    if (rest.empty()) return false;
    sentences_ = rest;
    ++at_;
    return true;
  }
  bool may_end() const override {
    return std::ranges::any_of(sentences_, [&](const Tokens& s) { return std::ssize(s) == at_; });
  }
  bool ended() const override { return ended_; }
  Tokens forced() const override {
    ListLanguage walk = *this;
    Tokens out;
    while (!walk.may_end()) {
      const TokenId next = walk.sentences_[0][static_cast<size_t>(walk.at_)];
      for (const Tokens& s : walk.sentences_)
        if (s[static_cast<size_t>(walk.at_)] != next) return out;
      walk.accept(next);
      out.push_back(next);
    }
    return out;
  }
  std::optional<Tokens> completion() const override {
    const auto shortest = std::ranges::min_element(
        sentences_, {}, [](const Tokens& s) { return s.size(); });
    return Tokens(shortest->begin() + at_, shortest->end());
  }

 private:
  std::vector<Tokens> sentences_;
  TokenId stop_;
  int64_t at_ = 0;
  bool ended_ = false;
};

// Balanced brackets, at least one pair: an output that can always grow and must be closed in time.
class BracketLanguage final : public Constraint {
 public:
  static constexpr TokenId kOpen = 1, kClose = 2, kStop = 3;

  std::unique_ptr<Constraint> clone() const override {
    return std::make_unique<BracketLanguage>(*this);
  }
  void fill_mask(std::span<uint32_t> bits) const override {
    bits[0] |= 1u << kOpen;
    if (depth_ > 0) bits[0] |= 1u << kClose;
    if (may_end()) bits[0] |= 1u << kStop;
  }
  bool accept(TokenId token) override {
    if (ended_) return false;
    if (token == kStop && may_end()) return ended_ = true;
    if (token != kOpen && (token != kClose || depth_ == 0)) return false;
    depth_ += token == kOpen ? 1 : -1;
    any_ = true;
    return true;
  }
  bool may_end() const override { return any_ && depth_ == 0; }
  bool ended() const override { return ended_; }
  Tokens forced() const override { return {}; }
  std::optional<Tokens> completion() const override {
    if (!any_) return Tokens{kOpen, kClose};
    return Tokens(static_cast<size_t>(depth_), kClose);
  }

 private:
  int32_t depth_ = 0;
  bool any_ = false;
  bool ended_ = false;
};

inline bool balanced(const Tokens& tokens) {
  int depth = 0;
  for (const TokenId token : tokens) {
    depth += token == BracketLanguage::kOpen ? 1 : -1;
    if (depth < 0) return false;
  }
  return depth == 0 && !tokens.empty();
}

}  // namespace swarm::test
