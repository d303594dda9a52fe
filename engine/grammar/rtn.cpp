#include "engine/grammar/rtn.h"

#include <algorithm>
#include <limits>
#include <type_traits>

#include "engine/base/check.h"

namespace swarm::engine::grammar {
namespace {

constexpr int64_t kNoWay = std::numeric_limits<int64_t>::max();
constexpr int32_t kNoDepth = std::numeric_limits<int32_t>::max();

bool any_spelled(const ByteEdge& edge, const std::bitset<256>& spelled) {
  for (size_t byte = edge.low; byte <= edge.high; ++byte) {
    if (spelled[byte]) return true;
  }
  return false;
}

// All rules side by side: edges already point at global states.
struct Joined {
  std::vector<Dfa::State> states;
  std::vector<StateId> starts;   // per rule
  std::vector<int32_t> weights;  // per rule
};

// Solves for Rtn::cost, need and shallow_cost by sweeping until nothing changes. Targets mostly
// have higher numbers than their sources, so sweeping backwards settles in a few rounds.
class WayFinder {
 public:
  WayFinder(const Joined& joined, const std::bitset<256>& spelled)
      : joined_(joined), spelled_(spelled) {}

  void solve(Rtn& out) {
    const size_t count = joined_.states.size();
    out.cost.assign(count, kNoWay);
    out.need.assign(count, kNoDepth);
    out.shallow_cost.assign(count, kNoWay);
    sweep([&](size_t s) { return lower(out.cost[s], best_cost(out.cost, s, nullptr)); });
    sweep([&](size_t s) { return lower(out.need[s], best_need(out, s)); });
    sweep([&](size_t s) {
      return lower(out.shallow_cost[s], best_cost(out.shallow_cost, s, &out.need));
    });
  }

 private:
  template <class Update>
  void sweep(Update update) {
    for (bool changed = true; changed;) {
      changed = false;
      for (size_t s = joined_.states.size(); s-- > 0;) changed |= update(s);
    }
  }
  template <class T>
  static bool lower(T& value, T candidate) {
    if (candidate >= value) return false;
    value = candidate;
    return true;
  }
  static size_t at(StateId state) { return static_cast<size_t>(state); }

  // With need: only edges that keep to need[s].
  int64_t best_cost(const std::vector<int64_t>& cost, size_t s,
                    const std::vector<int32_t>* need) const {
    const Dfa::State& state = joined_.states[s];
    if (state.accepting) return 0;
    int64_t best = kNoWay;
    const auto step = [&](StateId target) {
      if (need != nullptr && (*need)[at(target)] > (*need)[s]) return;
      if (cost[at(target)] != kNoWay) best = std::min(best, cost[at(target)] + Rtn::kByteCost);
    };
    for (const ByteEdge& edge : state.bytes) {
      if (any_spelled(edge, spelled_)) step(edge.target);
    }
    for (const SpecialEdge& edge : state.specials) step(edge.target);
    for (const CallEdge& edge : state.calls) {
      const size_t start = at(joined_.starts[at(edge.rule)]);
      if (cost[start] == kNoWay || cost[at(edge.target)] == kNoWay) continue;
      if (need != nullptr && call_need(*need, edge) > (*need)[s]) continue;
      best = std::min(best, cost[start] + cost[at(edge.target)] + 1);
    }
    return best;
  }

  int32_t call_need(const std::vector<int32_t>& need, const CallEdge& edge) const {
    const int32_t inside = need[at(joined_.starts[at(edge.rule)])];
    const int32_t after = need[at(edge.target)];
    if (inside == kNoDepth || after == kNoDepth) return kNoDepth;
    return std::max(inside + joined_.weights[at(edge.rule)], after);
  }

  int32_t best_need(const Rtn& out, size_t s) const {
    const Dfa::State& state = joined_.states[s];
    if (state.accepting) return 0;
    int32_t best = kNoDepth;
    for (const ByteEdge& edge : state.bytes) {
      if (any_spelled(edge, spelled_)) best = std::min(best, out.need[at(edge.target)]);
    }
    for (const SpecialEdge& edge : state.specials) {
      best = std::min(best, out.need[at(edge.target)]);
    }
    for (const CallEdge& edge : state.calls) best = std::min(best, call_need(out.need, edge));
    return best;
  }

  const Joined& joined_;
  const std::bitset<256>& spelled_;
};

// Bytes that every state treats alike get one class.
void assign_classes(const Joined& joined, const std::bitset<256>& spelled, Rtn& out) {
  std::array<bool, 257> cut{};
  cut[0] = true;
  for (const Dfa::State& state : joined.states) {
    for (const ByteEdge& edge : state.bytes) {
      cut[edge.low] = true;
      cut[static_cast<size_t>(edge.high) + 1] = true;
    }
  }
  for (size_t byte = 1; byte < 256; ++byte) {
    if (spelled[byte] != spelled[byte - 1]) cut[byte] = true;
  }
  const auto is_word = [](uint8_t c) {
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
  };
  for (size_t byte = 0; byte < 256; ++byte) {
    const auto value = static_cast<uint8_t>(byte);
    if (cut[byte]) {
      out.class_byte.push_back(value);
      out.class_single.push_back(true);
      out.class_spelled.push_back(spelled[byte]);
    } else {
      out.class_single.back() = false;
      if (!is_word(out.class_byte.back()) && is_word(value)) out.class_byte.back() = value;
    }
    out.class_of[byte] = static_cast<uint8_t>(out.class_byte.size() - 1);
  }
  out.class_count = out.class_byte.size();
}

// Writes the tables, leaving out edges into states without a way to the end.
void tabulate(const Joined& joined, Rtn& out) {
  const auto alive = [&](StateId s) { return out.cost[static_cast<size_t>(s)] != kNoWay; };
  const size_t count = joined.states.size();
  out.next_table.assign(count * out.class_count, kNoState);
  for (size_t s = 0; s < count; ++s) {
    const Dfa::State& state = joined.states[s];
    out.accepting.push_back(state.accepting ? 1 : 0);
    out.call_begin.push_back(static_cast<int32_t>(out.calls.size()));
    out.special_begin.push_back(static_cast<int32_t>(out.specials.size()));
    for (const ByteEdge& edge : state.bytes) {
      if (!alive(edge.target)) continue;
      for (size_t c = out.class_of[edge.low]; c <= out.class_of[edge.high]; ++c) {
        out.next_table[s * out.class_count + c] = edge.target;
      }
    }
    for (const CallEdge& edge : state.calls) {
      const StateId start = joined.starts[static_cast<size_t>(edge.rule)];
      if (alive(edge.target) && alive(start)) out.calls.push_back(edge);
    }
    for (const SpecialEdge& edge : state.specials) {
      if (alive(edge.target)) out.specials.push_back(edge);
    }
  }
  out.call_begin.push_back(static_cast<int32_t>(out.calls.size()));
  out.special_begin.push_back(static_cast<int32_t>(out.specials.size()));
}

// A cycle of calls in which nothing is read first; its entry, or -1.
class LeftRecursion {
 public:
  explicit LeftRecursion(const Rtn& rtn) : rtn_(rtn), mark_(rtn.rules.size()) {}

  RuleId find() {
    for (size_t rule = 0; rule < rtn_.rules.size(); ++rule) {
      const RuleId found = visit(static_cast<RuleId>(rule));
      if (found >= 0) return found;
    }
    return -1;
  }

 private:
  RuleId visit(RuleId rule) {
    if (mark_[static_cast<size_t>(rule)] == 2) return -1;
    if (mark_[static_cast<size_t>(rule)] == 1) return rule;
    mark_[static_cast<size_t>(rule)] = 1;
    std::vector<StateId> open{rtn_.rule(rule).start};
    for (size_t i = 0; i < open.size() && open[i] != kNoState; ++i) {
      for (const CallEdge& edge : rtn_.calls_of(open[i])) {
        const RuleId found = visit(edge.rule);
        if (found >= 0) return found;
        const StateId inner = rtn_.rule(edge.rule).start;
        const bool nullable = rtn_.cost[static_cast<size_t>(inner)] < Rtn::kByteCost;
        if (nullable && std::find(open.begin(), open.end(), edge.target) == open.end()) {
          open.push_back(edge.target);
        }
      }
    }
    mark_[static_cast<size_t>(rule)] = 2;
    return -1;
  }

  const Rtn& rtn_;
  std::vector<uint8_t> mark_;
};

}  // namespace

RuleId RtnBuilder::declare(std::string name) {
  rules_.push_back({.name = std::move(name), .kind = RuleKind::plain, .dfa = {}});
  return static_cast<RuleId>(rules_.size()) - 1;
}

Result<void> RtnBuilder::define(RuleId rule, Dfa dfa, RuleKind kind) {
  states_ += dfa.states.size();
  if (states_ > kDfaStatesMax) {
    return unsupported(name(rule) + ": the grammar is too large: more than " +
                       std::to_string(kDfaStatesMax) + " automaton states");
  }
  rules_[static_cast<size_t>(rule)].dfa = std::move(dfa);
  rules_[static_cast<size_t>(rule)].kind = kind;
  return {};
}

Result<Rtn> RtnBuilder::finish(RuleId root, const std::bitset<256>& spelled) {
  Joined joined;
  Rtn out;
  out.root = root;
  for (size_t rule = 0; rule < rules_.size(); ++rule) {
    SWARM_CHECK(!rules_[rule].dfa.states.empty(), rules_[rule].name);
    const auto base = static_cast<StateId>(joined.states.size());
    joined.starts.push_back(base);
    joined.weights.push_back(rules_[rule].kind == RuleKind::container ? 1 : 0);
    out.rules.push_back({rules_[rule].name, rules_[rule].kind, base});
    for (Dfa::State& state : rules_[rule].dfa.states) {
      for (ByteEdge& edge : state.bytes) edge.target += base;
      for (CallEdge& edge : state.calls) edge.target += base;
      for (SpecialEdge& edge : state.specials) edge.target += base;
      joined.states.push_back(std::move(state));
      out.rule_of.push_back(static_cast<RuleId>(rule));
    }
  }
  WayFinder(joined, spelled).solve(out);
  assign_classes(joined, spelled, out);
  tabulate(joined, out);
  const auto start_of = [&](RuleId rule) { return static_cast<size_t>(out.rule(rule).start); };
  if (out.cost[start_of(root)] == kNoWay) {
    // The innermost rule without a way is usually declared last; it names the culprit best.
    RuleId culprit = root;
    for (size_t rule = 0; rule < out.rules.size(); ++rule) {
      if (out.cost[start_of(static_cast<RuleId>(rule))] == kNoWay) {
        culprit = static_cast<RuleId>(rule);
      }
    }
    return invalid_input(name(culprit) +
                         ": no finite text that the vocabulary can spell satisfies this");
  }
  if (out.need[start_of(root)] > kDepthMax) {
    return invalid_input(name(root) + ": every text that satisfies this nests deeper than " +
                         std::to_string(kDepthMax) + " levels");
  }
  const RuleId loop = LeftRecursion(out).find();
  if (loop >= 0) return invalid_input(name(loop) + ": refers to itself without adding anything");
  return out;
}

size_t Rtn::bytes() const {
  const auto of = [](const auto& vector) {
    return vector.capacity() * sizeof(typename std::decay_t<decltype(vector)>::value_type);
  };
  size_t bytes = sizeof(Rtn) + of(class_byte) + of(next_table) + of(accepting) + of(rule_of) +
                 of(calls) + of(call_begin) + of(specials) + of(special_begin) + of(rules) +
                 of(cost) + of(need) + of(shallow_cost) +
                 (class_single.capacity() + class_spelled.capacity()) / 8;
  for (const Rule& rule : rules) bytes += rule.name.capacity();
  return bytes;
}

}  // namespace swarm::engine::grammar
