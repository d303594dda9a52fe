// engine/grammar/dfa.h — One rule of a grammar as a finite automaton: edges read bytes, read a
// special token, or call another rule. An Nfa is what the compilers write, a Dfa what they keep.
// Value types without locks; one thread at a time. Fails only by growing past kDfaStatesMax.
// Construction: R. McNaughton and H. Yamada (fragments), M. Rabin and D. Scott (subsets).
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"
#include "engine/grammar/grammar.h"

namespace swarm::engine::grammar {

using RuleId = int32_t;
using StateId = int32_t;
inline constexpr StateId kNoState = -1;
// Bounds memory: a state costs some 200 bytes once tabulated.
inline constexpr size_t kDfaStatesMax = 200'000;

struct ByteEdge {
  uint8_t low;
  uint8_t high;
  StateId target;
};
struct CallEdge {
  RuleId rule;
  StateId target;
};
struct SpecialEdge {
  TokenId token;
  StateId target;
};

// state 0 is the start. Byte edges of one state never overlap and are sorted.
struct Dfa {
  struct State {
    bool accepting = false;
    std::vector<ByteEdge> bytes;
    std::vector<CallEdge> calls;
    std::vector<SpecialEdge> specials;
  };
  std::vector<State> states;

  bool accepts(std::string_view text) const;  // byte edges only
  bool empty() const;                         // accepts nothing; calls count as passable
};

// A piece of an Nfa with one way in and one way out.
struct Piece {
  StateId start;
  StateId end;
};

class Nfa {
 public:
  StateId add_state();
  void add_epsilon(StateId from, StateId to);
  void add_bytes(StateId from, StateId to, uint8_t low, uint8_t high);
  void add_at_start(StateId from, StateId to);  // passable only before the first byte
  void add_at_end(StateId from, StateId to);    // passable only after the last byte

  Piece empty();
  Piece literal(std::string_view text);
  Piece bytes(uint8_t low, uint8_t high);
  Piece call(RuleId rule);
  Piece special(TokenId token);
  Piece sequence(const std::vector<Piece>& pieces);
  Piece any_of(const std::vector<Piece>& pieces);  // at least one
  Piece optional(Piece piece);
  Piece star(Piece piece);
  // make() is asked for every copy; max < 0 means without bound.
  Piece repeat(const std::function<Piece()>& make, int64_t min, int64_t max);
  Piece embed(const Dfa& dfa);

  Result<Dfa> determinize(Piece whole, size_t states_max = kDfaStatesMax) const;
  size_t size() const { return states_.size(); }

 private:
  friend class SubsetBuilder;
  struct State {
    std::vector<StateId> epsilon;
    std::vector<StateId> at_start;
    std::vector<StateId> at_end;
    std::vector<ByteEdge> bytes;
    std::vector<CallEdge> calls;
    std::vector<SpecialEdge> specials;
  };
  std::vector<State> states_;
};

// Both read byte edges only.
Result<Dfa> intersect(const Dfa& left, const Dfa& right);
// Every byte string except these.
Dfa everything_but(const std::vector<std::string>& literals);
// Every byte string in which text does not occur (Knuth, Morris, Pratt).
Dfa without_substring(std::string_view text);

}  // namespace swarm::engine::grammar
