// engine/grammar/rtn.h — A recursive transition network: rules (Dfa with calls) joined into one
// table. Every state that is left can reach the end of its rule with bytes a token can spell, so a
// thread that is alive can always finish.
// RtnBuilder is used by one thread; a finished Rtn is immutable and shared.
// Fails: a rule calls itself without reading anything, no finite text exists, too many states.
#pragma once

#include <array>
#include <bitset>
#include <span>
#include <string>
#include <vector>

#include "engine/grammar/dfa.h"

namespace swarm::engine::grammar {

// Deepest nesting of containers (objects and arrays) that may be generated. Half of what our own
// JSON parser accepts; at the limit only the ways that close remain.
inline constexpr int32_t kDepthMax = 64;

enum class RuleKind : uint8_t {
  plain,
  container,  // object or array: counts as one level of nesting
  key,        // an additional object key with its closing quote: must differ from its siblings
};

struct Rtn {
  // Bytes that no state tells apart share a class; next is [state][class].
  std::array<uint8_t, 256> class_of{};
  size_t class_count = 0;
  std::vector<uint8_t> class_byte;  // a byte of the class, a letter or digit where it has one
  std::vector<bool> class_single;   // exactly one byte
  std::vector<bool> class_spelled;  // a token of one byte exists for each of its bytes
  std::vector<StateId> next_table;
  std::vector<uint8_t> accepting;
  std::vector<RuleId> rule_of;
  std::vector<CallEdge> calls;  // of state s: [call_begin[s], call_begin[s + 1])
  std::vector<int32_t> call_begin;
  std::vector<SpecialEdge> specials;
  std::vector<int32_t> special_begin;

  struct Rule {
    std::string name;
    RuleKind kind = RuleKind::plain;
    StateId start = kNoState;  // kNoState: the rule admits no finite text
  };
  std::vector<Rule> rules;
  RuleId root = 0;  // never called by another rule

  // Ways to the end of the rule from a state. An edge is chosen so that following the minimum of
  // cost (or of shallow_cost) always terminates: both fall strictly along the way.
  std::vector<int64_t> cost;          // kByteCost per byte or special, 1 per call; the shortest
  std::vector<int32_t> need;          // levels of nesting the least nested way opens
  std::vector<int64_t> shallow_cost;  // the shortest among the least nested

  static constexpr int64_t kByteCost = 64;

  size_t state_count() const { return accepting.size(); }
  size_t bytes() const;                // of memory, the vectors' spare room included
  StateId next(StateId state, size_t cls) const {
    return next_table[static_cast<size_t>(state) * class_count + cls];
  }
  std::span<const CallEdge> calls_of(StateId state) const {
    return between(calls, call_begin, state);
  }
  std::span<const SpecialEdge> specials_of(StateId state) const {
    return between(specials, special_begin, state);
  }
  const Rule& rule(RuleId id) const { return rules[static_cast<size_t>(id)]; }
  bool is_accepting(StateId state) const { return accepting[static_cast<size_t>(state)] != 0; }
  int32_t need_of(StateId state) const { return need[static_cast<size_t>(state)]; }
  // Levels of nesting a call adds.
  int32_t weight(RuleId id) const { return rule(id).kind == RuleKind::container ? 1 : 0; }

 private:
  template <class T>
  static std::span<const T> between(const std::vector<T>& all, const std::vector<int32_t>& begin,
                                    StateId state) {
    const auto s = static_cast<size_t>(state);
    return std::span(all).subspan(static_cast<size_t>(begin[s]),
                                  static_cast<size_t>(begin[s + 1] - begin[s]));
  }
};

class RtnBuilder {
 public:
  RuleId declare(std::string name);
  Result<void> define(RuleId rule, Dfa dfa, RuleKind kind = RuleKind::plain);
  const std::string& name(RuleId rule) const { return rules_[static_cast<size_t>(rule)].name; }

  // spelled: the bytes for which a one-byte token exists; the ways kept alive use only these.
  Result<Rtn> finish(RuleId root, const std::bitset<256>& spelled);

 private:
  struct Rule {
    std::string name;
    RuleKind kind = RuleKind::plain;
    Dfa dfa;
  };
  std::vector<Rule> rules_;
  size_t states_ = 0;
};

}  // namespace swarm::engine::grammar
