#include "engine/grammar/characters.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/base/json.h"
#include "engine/base/utf8.h"

namespace swarm::engine::grammar {
namespace {

// A sequence of byte ranges, one edge each.
void add_sequence(Nfa& nfa, StateId from, StateId to, const std::vector<ByteEdge>& ranges) {
  for (size_t i = 0; i < ranges.size(); ++i) {
    const StateId next = i + 1 == ranges.size() ? to : nfa.add_state();
    nfa.add_bytes(from, next, ranges[i].low, ranges[i].high);
    from = next;
  }
}

// UTF-8 of [low, high]: split until every byte position runs over an independent interval.
void add_utf8(Nfa& nfa, StateId from, StateId to, uint32_t low, uint32_t high) {
  for (const uint32_t last : {0x7Fu, 0x7FFu, 0xD7FFu, 0xDFFFu, 0xFFFFu}) {
    if (low <= last && last < high) {
      add_utf8(nfa, from, to, low, last);
      add_utf8(nfa, from, to, last + 1, high);
      return;
    }
  }
  if (low >= 0xD800 && low <= 0xDFFF) return;
  const int tail_bytes = low < 0x80 ? 0 : low < 0x800 ? 1 : low < 0x10000 ? 2 : 3;
  for (int i = 1; i <= tail_bytes; ++i) {
    const uint32_t mask = (1u << (6 * i)) - 1;
    if ((low & ~mask) == (high & ~mask)) continue;
    const uint32_t cut = (low & mask) != 0 ? low | mask : (high & ~mask) - 1;
    if ((low & mask) == 0 && (high & mask) == mask) continue;
    add_utf8(nfa, from, to, low, cut);
    add_utf8(nfa, from, to, cut + 1, high);
    return;
  }
  std::string first;
  std::string last;
  utf8_append(first, low);
  utf8_append(last, high);
  SWARM_CHECK(first.size() == last.size(), low, high);
  std::vector<ByteEdge> ranges;
  for (size_t i = 0; i < first.size(); ++i) {
    ranges.push_back({static_cast<uint8_t>(first[i]), static_cast<uint8_t>(last[i]), kNoState});
  }
  add_sequence(nfa, from, to, ranges);
}

bool escaped_in_json(uint32_t code) { return code < 0x20 || code == '"' || code == '\\'; }

void add_literal(Nfa& nfa, StateId from, StateId to, std::string_view text) {
  std::vector<ByteEdge> ranges;
  for (const char c : text) {
    ranges.push_back({static_cast<uint8_t>(c), static_cast<uint8_t>(c), kNoState});
  }
  add_sequence(nfa, from, to, ranges);
}

CodeSet merged(CodeSet set) {
  std::sort(set.begin(), set.end(), [](CodeRange a, CodeRange b) { return a.low < b.low; });
  CodeSet out;
  for (const CodeRange range : set) {
    if (!out.empty() && range.low <= out.back().high + 1) {
      out.back().high = std::max(out.back().high, range.high);
    } else {
      out.push_back(range);
    }
  }
  return out;
}

}  // namespace

CodeSet complement(CodeSet set) {
  CodeSet out;
  uint32_t low = 0;
  for (const CodeRange range : merged(std::move(set))) {
    if (low < range.low) out.push_back({low, range.low - 1});
    low = range.high + 1;
  }
  if (low <= kCodeMax) out.push_back({low, kCodeMax});
  return out;
}

void add_characters(Nfa& nfa, StateId from, StateId to, const CodeSet& set, TextCoding coding) {
  for (const CodeRange range : merged(set)) {
    if (coding == TextCoding::raw) {
      const uint32_t low = std::max(range.low, 1u);
      if (low <= range.high) add_utf8(nfa, from, to, low, range.high);
      continue;
    }
    for (uint32_t code = range.low; code <= std::min(range.high, 0x7Fu); ++code) {
      if (escaped_in_json(code)) {
        add_literal(nfa, from, to, json_characters(std::string(1, static_cast<char>(code))));
      } else {
        nfa.add_bytes(from, to, static_cast<uint8_t>(code), static_cast<uint8_t>(code));
      }
    }
    const uint32_t low = std::max(range.low, 0x80u);
    if (low <= range.high) add_utf8(nfa, from, to, low, range.high);
  }
}

Piece characters(Nfa& nfa, const CodeSet& set, TextCoding coding) {
  const Piece piece{nfa.add_state(), nfa.add_state()};
  add_characters(nfa, piece.start, piece.end, set, coding);
  return piece;
}

Result<Dfa> text_of_length(int64_t min, int64_t max, TextCoding coding) {
  Nfa nfa;
  const Piece piece = any_character(nfa, coding);
  SWARM_TRY(const Dfa one, nfa.determinize(piece));
  // One copy of the character automaton per position. The end of a copy is the start of the next,
  // or of itself in the last copy of an unbounded text.
  const auto per_copy = static_cast<int64_t>(one.states.size()) - 1;
  const int64_t copies = max < 0 ? min + 1 : max;
  if (copies > (static_cast<int64_t>(kDfaStatesMax) - 1) / per_copy) {
    return unsupported("more than " +
                       std::to_string((static_cast<int64_t>(kDfaStatesMax) - 1) / per_copy) +
                       " characters to count");
  }
  StateId accept = kNoState;
  for (size_t s = 0; s < one.states.size(); ++s) {
    if (one.states[s].accepting) {
      SWARM_CHECK(accept == kNoState && one.states[s].bytes.empty());
      accept = static_cast<StateId>(s);
    }
  }
  Dfa text;
  const auto renumber = [&](int64_t copy, StateId state) {
    if (state == accept) {
      const int64_t next = max < 0 && copy == min ? copy : copy + 1;
      return static_cast<StateId>(next * per_copy);
    }
    return static_cast<StateId>(copy * per_copy + (state > accept ? state - 1 : state));
  };
  for (int64_t copy = 0; copy < copies; ++copy) {
    for (StateId s = 0; s < static_cast<StateId>(one.states.size()); ++s) {
      if (s == accept) continue;
      Dfa::State state = one.states[static_cast<size_t>(s)];
      state.accepting = s == 0 && copy >= min;
      for (ByteEdge& edge : state.bytes) edge.target = renumber(copy, edge.target);
      text.states.push_back(std::move(state));
    }
  }
  if (max >= 0) text.states.emplace_back().accepting = true;
  return text;
}

std::string json_characters(std::string_view text) {
  const std::string quoted = dump_json(Json(std::string(text)));
  return quoted.substr(1, quoted.size() - 2);
}

}  // namespace swarm::engine::grammar
