// engine/grammar/pattern.h — The keyword "pattern": a regular subset of ECMA-262 expressions.
// Classes, ., alternation, groups ( ) and (?: ), quantifiers * + ? {n} {n,} {n,m} (also lazy, which
// changes nothing here), anchors ^ $ anywhere, escapes \d \w \s \D \W \S \t \n \r \f \v \xHH \uHHHH
// \u{H} and escaped punctuation. As in ECMA-262 without flags, the match may lie anywhere unless
// anchored; \d and \w are ASCII. Anything else (lookaround, back references, \b, \p) is an error
// that names it and its offset. Pure function.
#pragma once

#include <string_view>

#include "engine/grammar/characters.h"

namespace swarm::engine::grammar {

// The texts (in the given coding) in which the pattern is found.
Result<Dfa> compile_pattern(std::string_view pattern, TextCoding coding);

}  // namespace swarm::engine::grammar
