// engine/grammar/characters.h — Code points as bytes: plain UTF-8, or the inside of a JSON string.
// Every code point has exactly one JSON form, so equal strings are equal bytes: raw UTF-8 except
// \" \\ \b \t \n \f \r and \u00XX (lower case) for the other controls. \/ and other \u escapes are
// never generated. Surrogates do not exist. Pure functions.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/grammar/dfa.h"

namespace swarm::engine::grammar {

enum class TextCoding : uint8_t {
  json,  // inside the quotes of a JSON string
  raw,   // bare UTF-8 without NUL
};

struct CodeRange {
  uint32_t low;
  uint32_t high;
};
using CodeSet = std::vector<CodeRange>;  // any order, may overlap

inline constexpr uint32_t kCodeMax = 0x10FFFF;

CodeSet complement(CodeSet set);

// Edges (through new states) from `from` to `to` for every code point of the set.
void add_characters(Nfa& nfa, StateId from, StateId to, const CodeSet& set, TextCoding coding);
Piece characters(Nfa& nfa, const CodeSet& set, TextCoding coding);
inline Piece any_character(Nfa& nfa, TextCoding coding) {
  return characters(nfa, {{0, kCodeMax}}, coding);
}

// Between min and max characters; max < 0 is without bound. Fails when that is too many states.
Result<Dfa> text_of_length(int64_t min, int64_t max, TextCoding coding);

// The JSON form of valid UTF-8 text, without quotes.
std::string json_characters(std::string_view text);

}  // namespace swarm::engine::grammar
