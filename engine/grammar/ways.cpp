// Forced text and shortest completions: walks over the network that need no vocabulary.
#include <algorithm>
#include <optional>

#include "engine/base/check.h"
#include "engine/grammar/grammar_impl.h"

namespace swarm::engine::grammar {
namespace {

constexpr size_t kForcedBytesMax = 4096;

// The only symbol that may come next; nullopt when there is a choice or an end.
std::optional<Symbol> only_symbol(const Rtn& rtn, const Closure& closure) {
  std::optional<Symbol> only;
  for (const Thread& thread : closure.threads) {
    for (const SpecialEdge& edge : rtn.specials_of(thread.state)) {
      if (only && only->token != edge.token) return std::nullopt;
      only = Symbol{.token = edge.token};
    }
    for (size_t cls = 0; cls < rtn.class_count; ++cls) {
      if (rtn.next(thread.state, cls) == kNoState) continue;
      if (!rtn.class_single[cls] || !rtn.class_spelled[cls]) return std::nullopt;
      if (only && (only->token >= 0 || only->byte != rtn.class_byte[cls])) return std::nullopt;
      only = Symbol{.byte = rtn.class_byte[cls]};
    }
  }
  return only;
}

// One edge of a way out.
struct Choice {
  int64_t cost = INT64_MAX;
  const CallEdge* call = nullptr;
  const SpecialEdge* special = nullptr;
  size_t cls = 0;
};

class CompletionWriter {
 public:
  // shallow: of the least nested ways the shortest, else the shortest of all.
  CompletionWriter(const Rtn& rtn, bool shallow) : rtn_(rtn), shallow_(shallow) {}

  // False if the way nests too deeply; never with shallow, which the matcher keeps possible.
  bool write(Thread thread) {
    while (true) {
      if (rtn_.is_accepting(thread.state)) {
        if (!thread.stack) return true;
        thread = pop(thread);
        continue;
      }
      const Choice choice = best(thread.state);
      SWARM_CHECK(choice.cost != INT64_MAX, thread.state);
      if (choice.call != nullptr) {
        thread = enter(rtn_, thread, *choice.call);
        if (depth_of(thread.stack) + rtn_.need_of(thread.state) > kDepthMax) return false;
      } else if (choice.special != nullptr) {
        symbols.push_back({.token = choice.special->token});
        thread.state = choice.special->target;
      } else {
        read(thread, rtn_.class_byte[choice.cls]);
      }
    }
  }

  std::vector<Symbol> symbols;

 private:
  const std::vector<int64_t>& costs() const { return shallow_ ? rtn_.shallow_cost : rtn_.cost; }

  Choice best(StateId state) const {
    Choice best;
    const auto cost_of = [&](StateId s) { return costs()[static_cast<size_t>(s)]; };
    const auto fits = [&](int32_t need) { return !shallow_ || need <= rtn_.need_of(state); };
    const auto offer = [&](Choice choice) {
      if (choice.cost < best.cost) best = choice;
    };
    for (size_t cls = 0; cls < rtn_.class_count; ++cls) {
      const StateId next = rtn_.next(state, cls);
      if (next == kNoState || !rtn_.class_spelled[cls] || !fits(rtn_.need_of(next))) continue;
      offer({.cost = cost_of(next) + Rtn::kByteCost, .cls = cls});
    }
    for (const SpecialEdge& edge : rtn_.specials_of(state)) {
      if (!fits(rtn_.need_of(edge.target))) continue;
      offer({.cost = cost_of(edge.target) + Rtn::kByteCost, .special = &edge});
    }
    for (const CallEdge& edge : rtn_.calls_of(state)) {
      const StateId start = rtn_.rule(edge.rule).start;
      if (!fits(
              std::max(rtn_.need_of(start) + rtn_.weight(edge.rule), rtn_.need_of(edge.target)))) {
        continue;
      }
      offer({.cost = cost_of(start) + cost_of(edge.target) + 1, .call = &edge});
    }
    return best;
  }

  // A key that would repeat a sibling is made longer: one digit more each time, so that it ends.
  void read(Thread& thread, uint8_t byte) {
    Step next = step(rtn_, {.threads = {thread}}, byte, {});
    if (next.threads.empty()) {
      const bool key = thread.stack && thread.stack->kind == RuleKind::key;
      SWARM_CHECK(key, thread.state);
      byte = '0';
      next = step(rtn_, {.threads = {thread}}, byte, {});
    }
    SWARM_CHECK(next.threads.size() == 1, next.threads.size());
    symbols.push_back({.byte = byte});
    thread = std::move(next.threads[0]);
  }

  const Rtn& rtn_;
  bool shallow_;
};

int64_t cost_to_end(const Rtn& rtn, const Thread& thread) {
  int64_t cost = rtn.cost[static_cast<size_t>(thread.state)];
  for (const Frame* frame = thread.stack.get(); frame != nullptr; frame = frame->parent.get()) {
    cost += rtn.cost[static_cast<size_t>(frame->target)];
  }
  return cost;
}

}  // namespace

Forced find_forced(const Rtn& rtn, const Threads& threads) {
  Forced forced;
  Threads at = threads;
  // More threads than a matcher keeps: let it accept what was found and give some up first. What is
  // forced for all of them is forced for those it keeps.
  while (forced.symbols.size() < kForcedBytesMax && at.size() <= kThreadsMax) {
    const Closure closure = close_over(rtn, at, {});
    if (closure.exit) {
      // A turn that may only end here; one that may also go on is a choice.
      forced.ends =
          std::none_of(closure.threads.begin(), closure.threads.end(), [&](const Thread& t) {
            if (!rtn.specials_of(t.state).empty()) return true;
            for (size_t c = 0; c < rtn.class_count; ++c) {
              if (rtn.next(t.state, c) != kNoState) return true;
            }
            return false;
          });
      return forced;
    }
    const std::optional<Symbol> only = only_symbol(rtn, closure);
    if (!only) return forced;
    Threads next = only->token >= 0 ? step_special(rtn, closure, only->token, {})
                                    : step(rtn, closure, only->byte, {}).threads;
    if (next.empty()) return forced;
    forced.symbols.push_back(*only);
    at = std::move(next);
  }
  return forced;
}

std::vector<Symbol> find_completion(const Rtn& rtn, const Threads& threads) {
  SWARM_CHECK(!threads.empty());
  const Thread& nearest = *std::min_element(
      threads.begin(), threads.end(),
      [&](const Thread& a, const Thread& b) { return cost_to_end(rtn, a) < cost_to_end(rtn, b); });
  CompletionWriter shortest(rtn, false);
  if (shortest.write(nearest)) return std::move(shortest.symbols);
  CompletionWriter shallow(rtn, true);
  const bool written = shallow.write(nearest);
  SWARM_CHECK(written);
  return std::move(shallow.symbols);
}

}  // namespace swarm::engine::grammar
