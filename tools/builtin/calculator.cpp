// A recursive-descent evaluator over exact rationals. Money and prices come out as people write
// them (0.1 + 0.2 is 0.3); what does not fit 127 bits continues as long double and is rounded to 15
// significant digits.
#include <cmath>
#include <cstdlib>
#include <optional>

#include "tools/builtin/builtin.h"

namespace swarm::tools::builtin {
namespace {

__extension__ using Wide = __int128;

constexpr size_t kLengthMax = 1000;
constexpr int kDepthMax = 100;
constexpr int kExponentMax = 10000;
constexpr int kDecimalsMax = 15;

Wide gcd(Wide a, Wide b) {
  if (a < 0) a = -a;
  while (b != 0) {
    const Wide rest = a % b;
    a = b;
    b = rest;
  }
  return a;
}

// top / bottom with bottom > 0 and no common factor, or inexact.
struct Number {
  Wide top = 0;
  Wide bottom = 1;
  bool exact = true;
  long double approximate = 0;

  long double value() const {
    return exact ? static_cast<long double>(top) / static_cast<long double>(bottom) : approximate;
  }
  bool is_zero() const { return exact ? top == 0 : approximate == 0; }
};

Number inexact(long double value) {
  return Number{.top = 0, .bottom = 1, .exact = false, .approximate = value};
}

std::optional<Number> fraction(Wide top, Wide bottom) {
  constexpr Wide kLowest = static_cast<Wide>(static_cast<unsigned __int128>(1) << 127);
  if (top == kLowest || bottom == kLowest) return std::nullopt;  // cannot be negated
  if (bottom < 0) top = -top, bottom = -bottom;
  const Wide common = gcd(bottom, top < 0 ? -top : top);
  return Number{.top = top / common, .bottom = bottom / common};
}

std::optional<Number> exact_sum(const Number& a, const Number& b, bool minus) {
  Wide left = 0, right = 0, top = 0, bottom = 0;
  if (!a.exact || !b.exact) return std::nullopt;
  if (__builtin_mul_overflow(a.top, b.bottom, &left) ||
      __builtin_mul_overflow(b.top, a.bottom, &right) ||
      __builtin_mul_overflow(a.bottom, b.bottom, &bottom))
    return std::nullopt;
  const bool overflow = minus ? __builtin_sub_overflow(left, right, &top)
                              : __builtin_add_overflow(left, right, &top);
  return overflow ? std::nullopt : fraction(top, bottom);
}

Number add(const Number& a, const Number& b, bool minus) {
  if (const auto sum = exact_sum(a, b, minus)) return *sum;
  return inexact(minus ? a.value() - b.value() : a.value() + b.value());
}

Number multiply(const Number& a, const Number& b) {
  Wide top = 0, bottom = 0;
  if (a.exact && b.exact && !__builtin_mul_overflow(a.top, b.top, &top) &&
      !__builtin_mul_overflow(a.bottom, b.bottom, &bottom))
    if (const auto product = fraction(top, bottom)) return *product;
  return inexact(a.value() * b.value());
}

// b is not zero.
Number divide(const Number& a, const Number& b) {
  if (b.exact)
    if (const auto inverse = fraction(b.bottom, b.top)) return multiply(a, *inverse);
  return inexact(a.value() / b.value());
}

// exponent: an integer of moderate size. Exact results by squaring.
Number power(Number base, int exponent) {
  Number out{.top = 1};
  const bool inverse = exponent < 0;
  for (int left = std::abs(exponent); left > 0; left >>= 1) {
    if ((left & 1) != 0) out = multiply(out, base);
    if (left > 1) base = multiply(base, base);
  }
  return inverse ? divide(Number{.top = 1}, out) : out;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<Number> run() {
    SWARM_TRY(Number value, sum());
    skip_space();
    if (at_ < text_.size()) return unexpected("an operator or the end");
    return value;
  }

 private:
  Result<Number> sum() {
    SWARM_TRY(Number value, product());
    while (true) {
      const char sign = peek();
      if (sign != '+' && sign != '-') return value;
      ++at_;
      SWARM_TRY(const Number right, product());
      value = add(value, right, sign == '-');
    }
  }

  Result<Number> product() {
    SWARM_TRY(Number value, signed_power());
    while (true) {
      const char sign = peek();
      const bool is_power = sign == '*' && at_ + 1 < text_.size() && text_[at_ + 1] == '*';
      if ((sign != '*' && sign != '/') || is_power) return value;
      const size_t place = at_++;
      SWARM_TRY(const Number right, signed_power());
      if (sign == '*') {
        value = multiply(value, right);
        continue;
      }
      if (right.is_zero())
        return invalid_input("division by zero at character " + std::to_string(place + 1));
      value = divide(value, right);
    }
  }

  // -2^2 is -(2^2); 2^-1 is 0.5; 2^3^2 is 2^(3^2).
  Result<Number> signed_power() {
    if (++depth_ > kDepthMax) return invalid_input("expression nests too deeply");
    const char sign = peek();
    if (sign == '-' || sign == '+') {
      ++at_;
      SWARM_TRY(const Number value, signed_power());
      --depth_;
      return sign == '-' ? add(Number{}, value, true) : value;
    }
    SWARM_TRY(const Number base, primary());
    const bool stars = peek() == '*' && at_ + 1 < text_.size() && text_[at_ + 1] == '*';
    if (peek() != '^' && !stars) {
      --depth_;
      return base;
    }
    at_ += stars ? 2 : 1;
    SWARM_TRY(const Number exponent, signed_power());
    --depth_;
    return raise(base, exponent);
  }

  Result<Number> raise(const Number& base, const Number& exponent) {
    if (!exponent.exact || exponent.bottom != 1 || exponent.top > kExponentMax ||
        exponent.top < -kExponentMax)
      return invalid_input("exponent: expected an integer of at most " +
                           std::to_string(kExponentMax));
    if (base.is_zero() && exponent.top < 0) return invalid_input("division by zero: 0 to a "
                                                                 "negative power");
    return power(base, static_cast<int>(exponent.top));
  }

  Result<Number> primary() {
    if (peek() != '(') return number();
    ++at_;
    SWARM_TRY(Number value, sum());
    if (peek() != ')') return unexpected("\")\"");
    ++at_;
    return value;
  }

  Result<Number> number() {
    skip_space();
    Number value;
    bool digits = false;
    Number place{.top = 1};
    bool point = false;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '.' && !point) {
        point = true;
      } else if (c >= '0' && c <= '9') {
        digits = true;
        const Number digit{.top = c - '0'};
        if (point) {
          place = divide(place, Number{.top = 10});
          value = add(value, multiply(digit, place), false);
        } else {
          value = add(multiply(value, Number{.top = 10}), digit, false);
        }
      } else {
        break;
      }
    }
    if (!digits) return unexpected("a number or \"(\"");
    return value;
  }

  char peek() {
    skip_space();
    return at_ < text_.size() ? text_[at_] : '\0';
  }

  void skip_space() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\t' || text_[at_] == '\n'))
      ++at_;
  }

  Error unexpected(const std::string& wanted) const {
    std::string found = "the end";
    if (at_ < text_.size()) {
      size_t length = 1;  // a whole character of UTF-8
      while (at_ + length < text_.size() &&
             (static_cast<unsigned char>(text_[at_ + length]) & 0xc0) == 0x80)
        ++length;
      found = "\"" + std::string(text_.substr(at_, length)) + "\" at character " +
              std::to_string(at_ + 1);
    }
    return invalid_input("expected " + wanted + ", found " + found);
  }

  std::string_view text_;
  size_t at_ = 0;
  int depth_ = 0;
};

std::string digits_of(Wide value) {
  if (value == 0) return "0";
  std::string out;
  const bool negative = value < 0;
  for (; value != 0; value /= 10) {
    const int digit = static_cast<int>(value % 10);
    out.insert(out.begin(), static_cast<char>('0' + std::abs(digit)));
  }
  return negative ? "-" + out : out;
}

// Exact decimals where they end within kDecimalsMax places, else 15 significant digits.
Result<std::string> render(const Number& number) {
  if (number.exact) {
    Wide top = number.top, bottom = number.bottom;
    int places = 0;
    while (bottom != 1 && places < kDecimalsMax && !__builtin_mul_overflow(top, Wide{10}, &top)) {
      ++places;
      const Wide common = gcd(bottom, top < 0 ? -top : top);
      top /= common;
      bottom /= common;
    }
    if (bottom == 1) {
      std::string text = digits_of(top < 0 ? -top : top);
      const auto width = static_cast<size_t>(places) + 1;
      if (text.size() < width) text.insert(0, width - text.size(), '0');
      if (places > 0) text.insert(text.size() - static_cast<size_t>(places), ".");
      return (top < 0 ? "-" : "") + text;
    }
  }
  const long double value = number.value();
  if (!std::isfinite(value)) return invalid_input("the result is too large");
  char buffer[64];
  std::snprintf(buffer, sizeof buffer, "%.15Lg", value);
  return std::string(buffer);
}

class Calculator final : public Tool {
 public:
  Calculator() {
    spec_.name = "calculator";
    spec_.description =
        "Computes an arithmetic expression: numbers, + - * / ^ and parentheses.";
    spec_.parameters =
        Json{{"type", "object"},
             {"properties", {{"expression", {{"type", "string"}}}}},
             {"required", Json::array({"expression"})},
             {"additionalProperties", false}};
    spec_.effect = Effect::read;
    spec_.origin = "builtin";
  }
  const ToolSpec& spec() const override { return spec_; }
  Async<ToolResult> call(Json arguments, ToolContext) override {
    const auto value = calculate(arguments.at("expression").get_ref<const std::string&>());
    if (value) co_return ToolResult{.text = *value};
    co_return ToolResult{.text = "cannot compute: " + value.error().message, .is_error = true};
  }

 private:
  ToolSpec spec_;
};

}  // namespace

Result<std::string> calculate(std::string_view expression) {
  if (expression.size() > kLengthMax)
    return invalid_input("expected at most " + std::to_string(kLengthMax) +
                         " characters, found " + std::to_string(expression.size()));
  SWARM_TRY(const Number value, Parser(expression).run());
  return render(value);
}

std::shared_ptr<Tool> make_calculator() { return std::make_shared<Calculator>(); }

}  // namespace swarm::tools::builtin
