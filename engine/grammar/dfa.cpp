#include "engine/grammar/dfa.h"

#include <algorithm>
#include <array>
#include <map>

#include "engine/base/check.h"

namespace swarm::engine::grammar {

namespace {
StateId find_target(const Dfa::State& state, uint8_t byte) {
  for (const ByteEdge& edge : state.bytes) {
    if (edge.low <= byte && byte <= edge.high) return edge.target;
  }
  return kNoState;
}

Error too_large() {
  return unsupported("the grammar is too large: more than " + std::to_string(kDfaStatesMax) +
                     " automaton states");
}
}  // namespace

bool Dfa::accepts(std::string_view text) const {
  StateId state = 0;
  for (const char c : text) {
    state = find_target(states[static_cast<size_t>(state)], static_cast<uint8_t>(c));
    if (state == kNoState) return false;
  }
  return states[static_cast<size_t>(state)].accepting;
}

bool Dfa::empty() const {
  std::vector<bool> seen(states.size());
  std::vector<StateId> open{0};
  seen[0] = true;
  const auto visit = [&](StateId target) {
    if (seen[static_cast<size_t>(target)]) return;
    seen[static_cast<size_t>(target)] = true;
    open.push_back(target);
  };
  while (!open.empty()) {
    const State& state = states[static_cast<size_t>(open.back())];
    open.pop_back();
    if (state.accepting) return false;
    for (const ByteEdge& edge : state.bytes) visit(edge.target);
    for (const CallEdge& edge : state.calls) visit(edge.target);
    for (const SpecialEdge& edge : state.specials) visit(edge.target);
  }
  return true;
}

StateId Nfa::add_state() {
  states_.emplace_back();
  return static_cast<StateId>(states_.size()) - 1;
}
void Nfa::add_epsilon(StateId from, StateId to) {
  states_[static_cast<size_t>(from)].epsilon.push_back(to);
}
void Nfa::add_bytes(StateId from, StateId to, uint8_t low, uint8_t high) {
  states_[static_cast<size_t>(from)].bytes.push_back({low, high, to});
}
void Nfa::add_at_start(StateId from, StateId to) {
  states_[static_cast<size_t>(from)].at_start.push_back(to);
}
void Nfa::add_at_end(StateId from, StateId to) {
  states_[static_cast<size_t>(from)].at_end.push_back(to);
}

Piece Nfa::empty() {
  const StateId state = add_state();
  return {state, state};
}

Piece Nfa::literal(std::string_view text) {
  const StateId start = add_state();
  StateId end = start;
  for (const char c : text) {
    const StateId next = add_state();
    add_bytes(end, next, static_cast<uint8_t>(c), static_cast<uint8_t>(c));
    end = next;
  }
  return {start, end};
}

Piece Nfa::bytes(uint8_t low, uint8_t high) {
  const Piece piece{add_state(), add_state()};
  add_bytes(piece.start, piece.end, low, high);
  return piece;
}

Piece Nfa::call(RuleId rule) {
  const Piece piece{add_state(), add_state()};
  states_[static_cast<size_t>(piece.start)].calls.push_back({rule, piece.end});
  return piece;
}

Piece Nfa::special(TokenId token) {
  const Piece piece{add_state(), add_state()};
  states_[static_cast<size_t>(piece.start)].specials.push_back({token, piece.end});
  return piece;
}

Piece Nfa::sequence(const std::vector<Piece>& pieces) {
  if (pieces.empty()) return empty();
  for (size_t i = 1; i < pieces.size(); ++i) add_epsilon(pieces[i - 1].end, pieces[i].start);
  return {pieces.front().start, pieces.back().end};
}

Piece Nfa::any_of(const std::vector<Piece>& pieces) {
  SWARM_CHECK(!pieces.empty());
  const Piece whole{add_state(), add_state()};
  for (const Piece& piece : pieces) {
    add_epsilon(whole.start, piece.start);
    add_epsilon(piece.end, whole.end);
  }
  return whole;
}

Piece Nfa::optional(Piece piece) { return any_of({piece, empty()}); }

Piece Nfa::star(Piece piece) {
  const StateId hub = add_state();
  add_epsilon(hub, piece.start);
  add_epsilon(piece.end, hub);
  return {hub, hub};
}

Piece Nfa::repeat(const std::function<Piece()>& make, int64_t min, int64_t max) {
  // Hubs, because a star's single state must not be entered from both sides of a loop.
  const StateId start = add_state();
  StateId end = start;
  const auto append = [&](Piece piece) {
    add_epsilon(end, piece.start);
    end = add_state();
    add_epsilon(piece.end, end);
  };
  for (int64_t i = 0; i < min; ++i) append(make());
  if (max < 0) {
    append(star(make()));
    return {start, end};
  }
  const StateId done = add_state();
  add_epsilon(end, done);
  for (int64_t i = min; i < max; ++i) {
    append(make());
    add_epsilon(end, done);
  }
  return {start, done};
}

Piece Nfa::embed(const Dfa& dfa) {
  const auto base = static_cast<StateId>(states_.size());
  states_.resize(states_.size() + dfa.states.size());
  const StateId end = add_state();
  for (size_t i = 0; i < dfa.states.size(); ++i) {
    State& state = states_[static_cast<size_t>(base) + i];
    for (const ByteEdge& edge : dfa.states[i].bytes) {
      state.bytes.push_back({edge.low, edge.high, base + edge.target});
    }
    for (const CallEdge& edge : dfa.states[i].calls) {
      state.calls.push_back({edge.rule, base + edge.target});
    }
    for (const SpecialEdge& edge : dfa.states[i].specials) {
      state.specials.push_back({edge.token, base + edge.target});
    }
    if (dfa.states[i].accepting) state.epsilon.push_back(end);
  }
  return {base, end};
}

// Rabin and Scott's subset construction. A subset is sorted and closed over epsilon edges.
class SubsetBuilder {
 public:
  SubsetBuilder(const Nfa& nfa, Piece whole, size_t states_max)
      : nfa_(nfa), whole_(whole), states_max_(states_max), mark_(nfa.states_.size()) {}

  Result<Dfa> build() {
    intern({whole_.start}, true);
    for (size_t i = 0; i < subsets_.size(); ++i) {
      if (subsets_.size() > states_max_) return too_large();
      const std::vector<StateId> subset = *subsets_[i];
      add_byte_edges(i, subset);
      add_symbol_edges(i, subset);
    }
    return std::move(dfa_);
  }

 private:
  using Subset = std::vector<StateId>;

  Subset close(const Subset& from, bool at_start, bool at_end) {
    ++stamp_;
    Subset closed;
    const auto visit = [&](StateId state) {
      if (mark_[static_cast<size_t>(state)] == stamp_) return;
      mark_[static_cast<size_t>(state)] = stamp_;
      closed.push_back(state);
    };
    for (const StateId state : from) visit(state);
    for (size_t i = 0; i < closed.size(); ++i) {
      const Nfa::State& state = nfa_.states_[static_cast<size_t>(closed[i])];
      for (const StateId target : state.epsilon) visit(target);
      if (at_start) {
        for (const StateId target : state.at_start) visit(target);
      }
      if (at_end) {
        for (const StateId target : state.at_end) visit(target);
      }
    }
    std::sort(closed.begin(), closed.end());
    return closed;
  }

  // Whether reading may stop here: every end assertion may be passed now, and the start
  // assertions too if nothing was read yet.
  bool accepts(const Subset& subset, bool at_start) {
    const Subset closed = close(subset, at_start, true);
    return std::binary_search(closed.begin(), closed.end(), whole_.end);
  }

  // Only states with edges and assertions tell subsets apart; the rest is dropped from the key.
  StateId intern(const Subset& from, bool at_start) {
    Subset closed = close(from, at_start, false);
    const bool accepting = accepts(closed, at_start);
    std::erase_if(closed, [&](StateId id) {
      const Nfa::State& state = nfa_.states_[static_cast<size_t>(id)];
      return state.bytes.empty() && state.calls.empty() && state.specials.empty() &&
             state.at_end.empty() && id != whole_.end;
    });
    if (at_start) {
      // Never shared: before the first byte the same subset may accept where later it does not.
      start_ = std::move(closed);
      subsets_.push_back(&start_);
      dfa_.states.emplace_back().accepting = accepting;
      return 0;
    }
    const auto [found, added] = ids_.try_emplace(std::move(closed), dfa_.states.size());
    if (added) {
      subsets_.push_back(&found->first);
      dfa_.states.emplace_back().accepting = accepting;
    }
    return static_cast<StateId>(found->second);
  }

  void add_byte_edges(size_t from, const Subset& subset) {
    std::array<bool, 257> cut{};
    std::vector<ByteEdge> edges;
    for (const StateId id : subset) {
      for (const ByteEdge& edge : nfa_.states_[static_cast<size_t>(id)].bytes) {
        cut[edge.low] = true;
        cut[static_cast<size_t>(edge.high) + 1] = true;
        edges.push_back(edge);
      }
    }
    if (edges.empty()) return;
    for (size_t low = 0; low < 256;) {
      size_t next = low + 1;
      while (next < 256 && !cut[next]) ++next;
      Subset targets;
      for (const ByteEdge& edge : edges) {
        if (edge.low <= low && low <= edge.high) targets.push_back(edge.target);
      }
      if (!targets.empty()) add_byte_edge(from, low, next - 1, intern(targets, false));
      low = next;
    }
  }

  void add_byte_edge(size_t from, size_t low, size_t high, StateId target) {
    std::vector<ByteEdge>& edges = dfa_.states[from].bytes;
    if (!edges.empty() && edges.back().target == target && edges.back().high + 1u == low) {
      edges.back().high = static_cast<uint8_t>(high);
    } else {
      edges.push_back({static_cast<uint8_t>(low), static_cast<uint8_t>(high), target});
    }
  }

  void add_symbol_edges(size_t from, const Subset& subset) {
    std::map<RuleId, Subset> calls;
    std::map<TokenId, Subset> specials;
    for (const StateId id : subset) {
      const Nfa::State& state = nfa_.states_[static_cast<size_t>(id)];
      for (const CallEdge& edge : state.calls) calls[edge.rule].push_back(edge.target);
      for (const SpecialEdge& edge : state.specials) specials[edge.token].push_back(edge.target);
    }
    for (const auto& [rule, targets] : calls) {
      const StateId target = intern(targets, false);
      dfa_.states[from].calls.push_back({rule, target});
    }
    for (const auto& [token, targets] : specials) {
      const StateId target = intern(targets, false);
      dfa_.states[from].specials.push_back({token, target});
    }
  }

  const Nfa& nfa_;
  Piece whole_;
  size_t states_max_;
  std::vector<uint32_t> mark_;
  uint32_t stamp_ = 0;
  Subset start_;
  std::map<Subset, size_t> ids_;
  std::vector<const Subset*> subsets_;
  Dfa dfa_;
};

Result<Dfa> Nfa::determinize(Piece whole, size_t states_max) const {
  return SubsetBuilder(*this, whole, states_max).build();
}

Result<Dfa> intersect(const Dfa& left, const Dfa& right) {
  Dfa product;
  std::map<std::pair<StateId, StateId>, StateId> ids;
  std::vector<std::pair<StateId, StateId>> pairs;
  const auto intern = [&](StateId a, StateId b) {
    const auto [found, added] =
        ids.try_emplace({a, b}, static_cast<StateId>(product.states.size()));
    if (added) {
      pairs.emplace_back(a, b);
      product.states.emplace_back().accepting = left.states[static_cast<size_t>(a)].accepting &&
                                                right.states[static_cast<size_t>(b)].accepting;
    }
    return found->second;
  };
  intern(0, 0);
  for (size_t i = 0; i < pairs.size(); ++i) {
    if (pairs.size() > kDfaStatesMax) return too_large();
    const auto [a, b] = pairs[i];
    for (const ByteEdge& x : left.states[static_cast<size_t>(a)].bytes) {
      for (const ByteEdge& y : right.states[static_cast<size_t>(b)].bytes) {
        const uint8_t low = std::max(x.low, y.low);
        const uint8_t high = std::min(x.high, y.high);
        if (low > high) continue;
        const StateId target = intern(x.target, y.target);
        product.states[i].bytes.push_back({low, high, target});
      }
    }
  }
  return product;
}

Dfa everything_but(const std::vector<std::string>& literals) {
  // A trie in which every missing edge leads to state 1, from which nothing is forbidden any more.
  Dfa dfa;
  dfa.states.resize(2);
  std::vector<std::map<uint8_t, StateId>> children(2);
  std::vector<bool> forbidden(2);
  for (const std::string& literal : literals) {
    StateId state = 0;
    for (const char c : literal) {
      const auto [found, added] = children[static_cast<size_t>(state)].try_emplace(
          static_cast<uint8_t>(c), static_cast<StateId>(children.size()));
      const StateId next = found->second;
      if (added) {
        children.emplace_back();
        forbidden.push_back(false);
      }
      state = next;
    }
    forbidden[static_cast<size_t>(state)] = true;
  }
  dfa.states.resize(children.size());
  for (size_t i = 0; i < children.size(); ++i) {
    Dfa::State& state = dfa.states[i];
    state.accepting = !forbidden[i];
    int low = 0;
    for (const auto& [byte, target] : children[i]) {
      if (low < byte) {
        state.bytes.push_back({static_cast<uint8_t>(low), static_cast<uint8_t>(byte - 1), 1});
      }
      state.bytes.push_back({byte, byte, target});
      low = byte + 1;
    }
    if (low <= 255) state.bytes.push_back({static_cast<uint8_t>(low), 255, 1});
  }
  return dfa;
}

Dfa without_substring(std::string_view text) {
  SWARM_CHECK(!text.empty());
  Dfa dfa;
  dfa.states.resize(text.size());
  for (size_t matched = 0; matched < text.size(); ++matched) {
    Dfa::State& state = dfa.states[matched];
    state.accepting = true;
    for (int byte = 0; byte < 256; ++byte) {
      // The longest suffix of text[0, matched) + byte that is a prefix of text.
      std::string seen(text.substr(0, matched));
      seen += static_cast<char>(byte);
      size_t keep = std::min(seen.size(), text.size());
      while (text.substr(0, keep) != std::string_view(seen).substr(seen.size() - keep)) --keep;
      if (keep == text.size()) continue;
      const auto target = static_cast<StateId>(keep);
      const auto value = static_cast<uint8_t>(byte);
      if (!state.bytes.empty() && state.bytes.back().target == target &&
          state.bytes.back().high + 1 == byte) {
        state.bytes.back().high = value;
      } else {
        state.bytes.push_back({value, value, target});
      }
    }
  }
  return dfa;
}

}  // namespace swarm::engine::grammar
