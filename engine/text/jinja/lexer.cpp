#include "engine/text/jinja/lexer.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "engine/base/utf8.h"
#include "engine/text/jinja/unicode.h"

namespace swarm::engine::text::jinja {
namespace {

bool is_digit_char(char c) { return c >= '0' && c <= '9'; }
bool is_name_start(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         static_cast<uint8_t>(c) >= 0x80;
}
bool is_name_char(char c) { return is_name_start(c) || is_digit_char(c); }
bool is_blank_char(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

// Length of text without its trailing whitespace.
size_t stripped_length(std::string_view text) {
  size_t length = 0;
  for (const CodePoint& c : code_points(text))
    if (!is_space(c.value)) length = c.begin + c.size;
  return length;
}

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {}

  std::vector<Token> run() {
    while (at_ < source_.size()) {
      const size_t tag = find_tag(at_);
      if (tag == std::string_view::npos) {
        emit_text(at_, source_.size());
        break;
      }
      lex_tag(tag);
    }
    tokens_.push_back({.kind = Token::Kind::end, .at = source_.size()});
    return std::move(tokens_);
  }

 private:
  [[noreturn]] static void refuse(size_t at, std::string message) {
    throw SyntaxFailure{{ErrorKind::invalid_input, std::move(message)}, at};
  }

  char peek(size_t offset) const { return offset < source_.size() ? source_[offset] : '\0'; }

  size_t find_tag(size_t from) const {
    for (size_t i = source_.find('{', from); i != std::string_view::npos;
         i = source_.find('{', i + 1)) {
      const char next = peek(i + 1);
      if (next == '{' || next == '%' || next == '#') return i;
    }
    return std::string_view::npos;
  }

  void emit_text(size_t begin, size_t end) {
    if (begin < end)
      tokens_.push_back({.kind = Token::Kind::text,
                         .at = begin,
                         .text = std::string(source_.substr(begin, end - begin))});
  }

  // The text before a tag, cut as its sign and lstrip_blocks say.
  void emit_text_before(size_t tag, char sign, bool is_output) {
    const std::string_view text = source_.substr(at_, tag - at_);
    size_t length = text.size();
    if (sign == '-') {
      length = stripped_length(text);
    } else if (sign != '+' && !is_output) {
      const size_t line_end = text.rfind('\n');
      const size_t line = line_end == std::string_view::npos ? 0 : line_end + 1;
      if ((line > 0 || line_starting_) && stripped_length(text.substr(line)) == 0) length = line;
    }
    emit_text(at_, at_ + length);
  }

  void lex_tag(size_t tag) {
    const char type = peek(tag + 1);
    const char sign = peek(tag + 2) == '-' || peek(tag + 2) == '+' ? peek(tag + 2) : '\0';
    emit_text_before(tag, sign, type == '{');
    at_ = tag + (sign == '\0' ? 2 : 3);
    if (type == '#') return lex_comment(tag);
    if (type == '%' && lex_raw(tag)) return;
    const bool output = type == '{';
    tokens_.push_back(
        {.kind = output ? Token::Kind::output_begin : Token::Kind::block_begin, .at = tag});
    while (!lex_tag_end(output)) lex_expression_token(tag);
  }

  // Consumes what follows a tag: with "-" all whitespace, with trim_blocks one newline.
  void finish_tag(char sign, bool trims_newline) {
    line_starting_ = false;
    if (sign == '-') {
      while (at_ < source_.size()) {
        const CodePoint c = code_point_at(source_, at_);
        if (!is_space(c.value)) break;
        line_starting_ = c.value == '\n';
        at_ += c.size;
      }
    } else if (sign != '+' && trims_newline && peek(at_) == '\n') {
      ++at_;
      line_starting_ = true;
    }
  }

  void lex_comment(size_t tag) {
    const size_t end = source_.find("#}", at_);
    if (end == std::string_view::npos) refuse(tag, "expected \"#}\" to close this comment");
    const char before = end > at_ ? source_[end - 1] : '\0';
    at_ = end + 2;
    finish_tag(before == '-' || before == '+' ? before : '\0', true);
  }

  // "{% word %}" at offset; returns the offset after it and the closing sign.
  std::optional<std::pair<size_t, char>> match_word_tag(size_t offset,
                                                        std::string_view word) const {
    const auto skip = [&] {
      while (is_blank_char(peek(offset))) ++offset;
    };
    skip();
    if (source_.substr(offset, word.size()) != word) return std::nullopt;
    offset += word.size();
    skip();
    char sign = '\0';
    if (peek(offset) == '-' || peek(offset) == '+') sign = source_[offset++];
    if (source_.substr(offset, 2) != "%}") return std::nullopt;
    return std::pair(offset + 2, sign);
  }

  bool lex_raw(size_t tag) {
    const auto begin = match_word_tag(at_, "raw");
    if (!begin) return false;
    at_ = begin->first;
    finish_tag(begin->second, false);
    for (size_t i = source_.find("{%", at_); i != std::string_view::npos;
         i = source_.find("{%", i + 2)) {
      const char sign = peek(i + 2) == '-' || peek(i + 2) == '+' ? peek(i + 2) : '\0';
      const auto end = match_word_tag(i + (sign == '\0' ? 2 : 3), "endraw");
      if (!end) continue;
      emit_text_before(i, sign, false);
      at_ = end->first;
      finish_tag(end->second, true);
      return true;
    }
    refuse(tag, "expected {% endraw %} to close this block");
  }

  bool lex_tag_end(bool output) {
    while (is_blank_char(peek(at_))) ++at_;
    if (!open_.empty()) return false;
    const std::string_view close = output ? "}}" : "%}";
    const char sign = peek(at_) == '-' || (peek(at_) == '+' && !output) ? peek(at_) : '\0';
    const size_t end = at_ + (sign == '\0' ? 0 : 1);
    if (source_.substr(end, 2) != close) return false;
    tokens_.push_back(
        {.kind = output ? Token::Kind::output_end : Token::Kind::block_end, .at = at_});
    at_ = end + 2;
    finish_tag(sign, !output);
    return true;
  }

  void lex_expression_token(size_t tag) {
    if (at_ >= source_.size()) refuse(tag, "this tag is not closed");
    const char c = peek(at_);
    if (is_name_start(c)) {
      const size_t begin = at_;
      while (is_name_char(peek(at_))) ++at_;
      tokens_.push_back({.kind = Token::Kind::name,
                         .at = begin,
                         .text = std::string(source_.substr(begin, at_ - begin))});
    } else if (is_digit_char(c)) {
      lex_number();
    } else if (c == '"' || c == '\'') {
      lex_string(c);
    } else {
      lex_punctuation();
    }
  }

  void lex_number() {
    const size_t begin = at_;
    std::string digits;
    const auto take_digits = [&] {
      while (is_digit_char(peek(at_)) || (peek(at_) == '_' && is_digit_char(peek(at_ + 1)))) {
        if (peek(at_) != '_') digits += peek(at_);
        ++at_;
      }
    };
    take_digits();
    bool fraction = false;
    // After a dot an integer is an attribute (a.0.1), never the whole part of a fraction.
    const bool after_dot = !tokens_.empty() && tokens_.back().text == "." &&
                           tokens_.back().kind == Token::Kind::punctuation;
    if (!after_dot && peek(at_) == '.' && is_digit_char(peek(at_ + 1))) {
      fraction = true;
      digits += '.';
      ++at_;
      take_digits();
    }
    const size_t sign = peek(at_ + 1) == '+' || peek(at_ + 1) == '-' ? 1 : 0;
    const bool exponent = peek(at_) == 'e' || peek(at_) == 'E';
    if (!after_dot && exponent && is_digit_char(peek(at_ + 1 + sign))) {
      fraction = true;
      digits += 'e';
      if (sign == 1) digits += peek(at_ + 1);
      at_ += 1 + sign;
      take_digits();
    }
    if (is_name_char(peek(at_))) refuse(begin, "expected a decimal number");
    Token token{.kind = fraction ? Token::Kind::number : Token::Kind::integer, .at = begin};
    const char* first = digits.data();
    const char* last = first + digits.size();
    const auto error = fraction ? std::from_chars(first, last, token.number).ec
                                : std::from_chars(first, last, token.integer).ec;
    if (error != std::errc{}) refuse(begin, "expected a number of at most 64 bits");
    token.text = digits;
    tokens_.push_back(std::move(token));
  }

  // Resolves the escape after the backslash at at_ - 1.
  void lex_escape(std::string& out) {
    constexpr std::string_view letters = "abfnrtv\\'\"";
    constexpr std::string_view values = "\a\b\f\n\r\t\v\\'\"";
    const char c = peek(at_++);
    if (const size_t i = letters.find(c); i != std::string_view::npos) {
      out += values[i];
      return;
    }
    if (c == '\n') return;  // a continued line
    if (c >= '0' && c <= '7') {
      uint32_t value = 0;
      --at_;
      for (int i = 0; i < 3 && peek(at_) >= '0' && peek(at_) <= '7'; ++i)
        value = value * 8 + static_cast<uint32_t>(peek(at_++) - '0');
      return utf8_append(out, value);
    }
    const int digits = c == 'x' ? 2 : c == 'u' ? 4 : c == 'U' ? 8 : 0;
    if (digits == 0) {  // Python keeps the backslash of what it does not know.
      out += '\\';
      out += c;
      return;
    }
    uint32_t value = 0;
    const char* first = source_.data() + std::min(at_, source_.size());
    const char* last = source_.data() + std::min(at_ + static_cast<size_t>(digits), source_.size());
    if (last - first != digits || std::from_chars(first, last, value, 16).ptr != last)
      refuse(at_ - 2, "expected " + std::to_string(digits) + " hexadecimal digits");
    at_ += static_cast<size_t>(digits);
    utf8_append(out, value);
  }

  void lex_string(char quote) {
    const size_t begin = at_++;
    Token token{.kind = Token::Kind::string, .at = begin};
    for (;;) {
      if (at_ >= source_.size()) refuse(begin, "this string is not closed");
      const char c = peek(at_++);
      if (c == quote) break;
      if (c == '\\') {
        lex_escape(token.text);
      } else {
        token.text += c;
      }
    }
    tokens_.push_back(std::move(token));
  }

  void lex_punctuation() {
    constexpr std::array<std::string_view, 26> all = {
        "//", "**", "==", "!=", ">=", "<=", "+", "-", "*", "/", "%", "~", "<",
        ">",  "=",  ".",  ":",  "|",  ",",  "(", ")", "[", "]", "{", "}", ";"};
    for (const std::string_view one : all) {
      if (source_.substr(at_, one.size()) != one) continue;
      track_brackets(one[0]);
      tokens_.push_back(
          {.kind = Token::Kind::punctuation, .at = at_, .text = std::string(one)});
      at_ += one.size();
      return;
    }
    refuse(at_, "unexpected character \"" + std::string(source_.substr(at_, 1)) + "\"");
  }

  void track_brackets(char c) {
    constexpr std::string_view opening = "([{", closing = ")]}";
    if (opening.find(c) != std::string_view::npos) open_.push_back(c);
    const size_t i = closing.find(c);
    if (i == std::string_view::npos) return;
    if (open_.empty() || open_.back() != opening[i])
      refuse(at_, "unexpected \"" + std::string(1, c) + "\"");
    open_.pop_back();
  }

  std::string_view source_;
  size_t at_ = 0;
  bool line_starting_ = true;  // only a newline was consumed since the last kept text
  std::string open_;           // brackets inside the current tag
  std::vector<Token> tokens_;
};

}  // namespace

std::string normalise_source(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r' && i + 1 < source.size() && source[i + 1] == '\n') continue;
    out += source[i] == '\r' ? '\n' : source[i];
  }
  if (out.ends_with('\n')) out.pop_back();
  return out;
}

std::vector<Token> tokenize(std::string_view source) { return Lexer(source).run(); }

}  // namespace swarm::engine::text::jinja
