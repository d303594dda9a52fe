// engine/grammar/numbers.h — JSON numbers, free or within a range, with bounded digits so that
// every text parses to a finite value. Bounds are compared as exact decimals, digit by digit.
//   free integer     -?(0|[1-9][0-9]{0,17})
//   free number      -?(0|[1-9][0-9]{0,14})(.[0-9]{1,15})?([eE][+-]?[0-9]{1,2})?
//   ranged integer   plain digits within the range and within int64
//   ranged number    plain decimals within the range, at most 15 digits in all
// A minus before zero is written by the free number only. At most 15 significant digits, so two
// different decimals are two different doubles and an exclusive bound stays exclusive. Pure.
#pragma once

#include "engine/base/json.h"
#include "engine/grammar/dfa.h"

namespace swarm::engine::grammar {

Result<Dfa> free_number(bool integer);

struct NumberRange {
  Json minimum;  // null, or a number
  Json maximum;
  Json exclusive_minimum;
  Json exclusive_maximum;

  bool bounded() const;
  bool contains(const Json& number) const;
};

// Fails when no number that may be generated lies in the range.
Result<Dfa> ranged_number(const NumberRange& range, bool integer);

}  // namespace swarm::engine::grammar
