#include "engine/grammar/numbers.h"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <tuple>

#include "engine/base/check.h"

namespace swarm::engine::grammar {
namespace {

__extension__ using Wide = __int128;

constexpr int kDigitsMax = 15;  // every decimal of so many digits survives a double

// value = digits * 10^exponent, exactly what the schema's author wrote (shortest double form).
struct Decimal {
  Wide digits = 0;
  int exponent = 0;
};

Decimal to_decimal(const Json& number) {
  if (number.is_number_unsigned()) return {static_cast<Wide>(number.get<uint64_t>()), 0};
  if (number.is_number_integer()) return {static_cast<Wide>(number.get<int64_t>()), 0};
  std::array<char, 64> text{};
  const auto end = std::to_chars(text.data(), text.data() + text.size(), number.get<double>(),
                                 std::chars_format::scientific)
                       .ptr;
  Decimal value;
  bool negative = false;
  bool fraction = false;
  const char* at = text.data();
  for (; at != end && *at != 'e'; ++at) {
    if (*at == '-') negative = true;
    if (*at == '.') fraction = true;
    if (*at < '0' || *at > '9') continue;
    value.digits = value.digits * 10 + (*at - '0');
    if (fraction) --value.exponent;
  }
  int power = 0;
  if (at != end) {
    ++at;
    if (at != end && *at == '+') ++at;
    std::from_chars(at, end, power);
  }
  value.exponent += power;
  if (negative) value.digits = -value.digits;
  return value;
}

constexpr Wide kWideMax = Wide{1} << 120;

// value * 10^places rounded towards minus (up = false) or plus infinity; saturates at +-kWideMax.
// exact tells whether nothing was rounded away.
Wide scale(Decimal value, int places, bool up, bool& exact) {
  int power = value.exponent + places;
  exact = true;
  for (; power > 0; --power) {
    if (value.digits == 0) return 0;
    if (value.digits > kWideMax / 10 || value.digits < -kWideMax / 10) {
      return value.digits > 0 ? kWideMax : -kWideMax;
    }
    value.digits *= 10;
  }
  bool rest = false;
  for (; power < 0 && value.digits != 0; ++power) {
    const bool negative = value.digits < 0;
    const Wide digit = value.digits % 10;
    value.digits /= 10;
    rest |= digit != 0;
    if (value.digits == 0 && rest) {
      exact = false;  // a positive or negative crumb
      return negative ? (up ? 0 : -1) : (up ? 1 : 0);
    }
    if (power == -1 && rest) {
      exact = false;
      if (negative && !up) return value.digits - 1;
      if (!negative && up) return value.digits + 1;
      return value.digits;
    }
  }
  return value.digits;
}

int fraction_digits(const Json& number) {
  if (!number.is_number_float()) return 0;
  Decimal value = to_decimal(number);
  while (value.exponent < 0 && value.digits % 10 == 0) {
    value.digits /= 10;
    ++value.exponent;
  }
  return std::max(0, -value.exponent);
}

std::string digits_of(Wide value, size_t width) {
  std::string text;
  for (; value > 0; value /= 10) text += static_cast<char>('0' + static_cast<int>(value % 10));
  while (text.size() < width) text += '0';
  std::reverse(text.begin(), text.end());
  return text;
}

// Writes the decimals low..high (non-negative, in units of 10^-places) as edges.
class MagnitudeWriter {
 public:
  MagnitudeWriter(Nfa& nfa, int places) : nfa_(nfa), places_(static_cast<size_t>(places)) {}

  std::optional<Piece> write(Wide low, Wide high) {
    if (low > high) return std::nullopt;
    std::vector<Piece> pieces;
    Wide unit = 1;
    for (size_t i = 0; i < places_; ++i) unit *= 10;
    // Whole parts of one length at a time, so that digits compare position by position.
    Wide begin = 0;
    Wide end = unit * 10 - 1;
    for (size_t whole = 1; begin <= high; ++whole) {
      const Wide from = std::max(low, begin);
      const Wide to = std::min(high, end);
      if (from <= to) pieces.push_back(write_length(from, to, whole));
      begin = end + 1;
      end = begin * 10 - 1;
    }
    SWARM_CHECK(!pieces.empty());
    return nfa_.any_of(pieces);
  }

 private:
  Piece write_length(Wide from, Wide to, size_t whole) {
    low_ = digits_of(from, whole + places_);
    high_ = digits_of(to, whole + places_);
    whole_ = whole;
    states_.clear();
    end_ = nfa_.add_state();
    return {state(0, true, true, false), end_};
  }

  // position digits are written; at_low: so far equal to low_; dotted: the point is written.
  StateId state(size_t position, bool at_low, bool at_high, bool dotted) {
    const auto key = std::tuple(position, at_low, at_high, dotted);
    if (const auto found = states_.find(key); found != states_.end()) return found->second;
    const StateId id = nfa_.add_state();
    states_[key] = id;
    // Missing digits are zeros: fine above low_ only if low_ goes on with zeros too.
    const bool zeros_left = low_.find_first_not_of('0', position) == std::string::npos;
    const bool may_stop = position >= whole_ && (position > whole_ || !dotted);
    if (may_stop && (!at_low || zeros_left)) nfa_.add_epsilon(id, end_);
    if (position == low_.size()) return id;
    if (position == whole_ && !dotted) {
      nfa_.add_bytes(id, state(position, at_low, at_high, true), '.', '.');
      return id;
    }
    for (char digit = '0'; digit <= '9'; ++digit) {
      if (at_low && digit < low_[position]) continue;
      if (at_high && digit > high_[position]) continue;
      const StateId next = state(position + 1, at_low && digit == low_[position],
                                 at_high && digit == high_[position], dotted);
      nfa_.add_bytes(id, next, static_cast<uint8_t>(digit), static_cast<uint8_t>(digit));
    }
    return id;
  }

  Nfa& nfa_;
  size_t places_;
  std::string low_;
  std::string high_;
  size_t whole_ = 0;
  StateId end_ = kNoState;
  std::map<std::tuple<size_t, bool, bool, bool>, StateId> states_;
};

struct Grid {
  Wide low;
  Wide high;
};

// The range in units of 10^-places, clipped to what may be written.
Grid to_grid(const NumberRange& range, int places, Wide limit_low, Wide limit_high) {
  Grid grid{limit_low, limit_high};
  bool exact = true;
  if (!range.minimum.is_null()) {
    grid.low = std::max(grid.low, scale(to_decimal(range.minimum), places, true, exact));
  }
  if (!range.exclusive_minimum.is_null()) {
    const Wide bound = scale(to_decimal(range.exclusive_minimum), places, true, exact);
    grid.low = std::max(grid.low, exact ? bound + 1 : bound);
  }
  if (!range.maximum.is_null()) {
    grid.high = std::min(grid.high, scale(to_decimal(range.maximum), places, false, exact));
  }
  if (!range.exclusive_maximum.is_null()) {
    const Wide bound = scale(to_decimal(range.exclusive_maximum), places, false, exact);
    grid.high = std::min(grid.high, exact ? bound - 1 : bound);
  }
  return grid;
}

// Decimal places: enough for the bounds, six if there is room, and no more than 15 digits in all.
int choose_places(const NumberRange& range) {
  int places = 6;
  const bool below = range.maximum.is_null() && range.exclusive_maximum.is_null();
  const bool above = range.minimum.is_null() && range.exclusive_minimum.is_null();
  int whole = below || above ? 9 : 1;
  for (const Json* bound :
       {&range.minimum, &range.maximum, &range.exclusive_minimum, &range.exclusive_maximum}) {
    if (bound->is_null()) continue;
    places = std::max(places, fraction_digits(*bound) + 1);
    bool exact = true;
    Wide value = scale(to_decimal(*bound), 0, true, exact);
    if (value < 0) value = -value;
    whole = std::max(whole, std::min(kDigitsMax, static_cast<int>(digits_of(value, 1).size())));
  }
  return std::min(places, kDigitsMax - whole);
}

}  // namespace

Result<Dfa> free_number(bool integer) {
  Nfa nfa;
  const auto digit = [&] { return nfa.bytes('0', '9'); };
  std::vector<Piece> parts;
  parts.push_back(nfa.optional(nfa.literal("-")));
  const Piece whole = nfa.sequence({nfa.bytes('1', '9'), nfa.repeat(digit, 0, integer ? 17 : 14)});
  if (integer) {
    return nfa.determinize(nfa.any_of({nfa.literal("0"), nfa.sequence({parts[0], whole})}));
  }
  parts.push_back(nfa.any_of({nfa.literal("0"), whole}));
  parts.push_back(nfa.optional(nfa.sequence({nfa.literal("."), nfa.repeat(digit, 1, kDigitsMax)})));
  const Piece letter = nfa.any_of({nfa.literal("e"), nfa.literal("E")});
  const Piece sign = nfa.optional(nfa.any_of({nfa.literal("+"), nfa.literal("-")}));
  parts.push_back(nfa.optional(nfa.sequence({letter, sign, nfa.repeat(digit, 1, 2)})));
  return nfa.determinize(nfa.sequence(parts));
}

bool NumberRange::bounded() const {
  return !minimum.is_null() || !maximum.is_null() || !exclusive_minimum.is_null() ||
         !exclusive_maximum.is_null();
}

bool NumberRange::contains(const Json& number) const {
  // On a common grid of enough places both sides are whole numbers.
  const auto compare = [&](const Json& bound) {
    const Decimal a = to_decimal(number);
    const Decimal b = to_decimal(bound);
    const int places = std::clamp(-std::min(a.exponent, b.exponent), 0, 20);
    bool a_exact = true;
    bool b_exact = true;
    const Wide x = scale(a, places, false, a_exact);
    const Wide y = scale(b, places, false, b_exact);
    return x < y ? -1 : x > y ? 1 : (a_exact ? 0 : 1) - (b_exact ? 0 : 1);
  };
  return (minimum.is_null() || compare(minimum) >= 0) &&
         (maximum.is_null() || compare(maximum) <= 0) &&
         (exclusive_minimum.is_null() || compare(exclusive_minimum) > 0) &&
         (exclusive_maximum.is_null() || compare(exclusive_maximum) < 0);
}

Result<Dfa> ranged_number(const NumberRange& range, bool integer) {
  const int places = integer ? 0 : choose_places(range);
  Wide limit_high = std::numeric_limits<int64_t>::max();
  Wide limit_low = std::numeric_limits<int64_t>::min();
  if (!integer) {
    limit_high = 1;
    for (int i = 0; i < kDigitsMax; ++i) limit_high *= 10;
    limit_high -= 1;
    limit_low = -limit_high;
  }
  const Grid grid = to_grid(range, places, limit_low, limit_high);
  if (grid.low > grid.high) {
    return invalid_input(std::string("no ") + (integer ? "integer" : "number") +
                         " that may be generated lies between the bounds");
  }
  Nfa nfa;
  std::vector<Piece> pieces;
  MagnitudeWriter writer(nfa, places);
  if (const auto positive = writer.write(std::max<Wide>(grid.low, 0), grid.high)) {
    pieces.push_back(*positive);
  }
  if (grid.low < 0) {
    const Wide least = std::max<Wide>(1, -grid.high);  // never "-0"
    if (const auto negative = writer.write(least, -grid.low)) {
      pieces.push_back(nfa.sequence({nfa.literal("-"), *negative}));
    }
  }
  return nfa.determinize(nfa.any_of(pieces));
}

}  // namespace swarm::engine::grammar
