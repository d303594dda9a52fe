#include "engine/text/pretokenizer.h"

#include <utf8proc.h>

#include "engine/base/check.h"
#include "engine/base/utf8.h"

namespace swarm::engine::text {
namespace {

struct Char {
  uint32_t code_point = 0;
  size_t length = 0;  // 0 = end of text
  CharClass kind = CharClass::other;
};

Char char_at(std::string_view text, size_t position) {
  if (position >= text.size()) return {};
  const std::string_view rest = text.substr(position);
  const auto lead = static_cast<uint8_t>(rest[0]);
  if (lead < 0x80) return {lead, 1, classify(lead)};
  const size_t length = utf8_sequence_length(rest);
  if (length == 0) return {0xfffd, 1, CharClass::other};
  uint32_t code_point = lead & (0xffu >> (length + 1));
  for (size_t i = 1; i < length; ++i)
    code_point = (code_point << 6) | (static_cast<uint8_t>(rest[i]) & 0x3f);
  return {code_point, length, classify(code_point)};
}

bool is_blank(CharClass kind) { return kind == CharClass::space || kind == CharClass::line_end; }

// End of the run of characters of one class that begins at position.
size_t run_end(std::string_view text, size_t position, CharClass kind) {
  for (;;) {
    const Char c = char_at(text, position);
    if (c.length == 0 || c.kind != kind) return position;
    position += c.length;
  }
}

// Alternative 1: an English contraction, any case. U+017F (long s) folds to s as it does in the
// Unicode case folding of the published pattern.
size_t contraction_length(std::string_view text) {
  const auto lower = [&](size_t i) {
    const char c = i < text.size() ? text[i] : '\0';
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
  };
  if (text[0] != '\'') return 0;
  const char a = lower(1), b = lower(2);
  if (a == 's' || a == 't' || a == 'm' || a == 'd') return 2;
  if ((a == 'r' && b == 'e') || (a == 'v' && b == 'e') || (a == 'l' && b == 'l')) return 3;
  if (text.substr(1, 2) == "\xc5\xbf") return 3;
  return 0;
}

// Alternatives 5 to 7: first is a whitespace character that starts no other alternative.
size_t whitespace_length(std::string_view text) {
  size_t end = 0, last_start = 0, after_line_end = 0;
  for (Char c = char_at(text, 0); c.length != 0 && is_blank(c.kind); c = char_at(text, end)) {
    last_start = end;
    end += c.length;
    if (c.kind == CharClass::line_end) after_line_end = end;
  }
  if (after_line_end != 0) return after_line_end;
  if (end == text.size() || last_start == 0) return end;
  return last_start;  // The last blank belongs to the word that follows.
}

}  // namespace

CharClass classify(uint32_t c) {
  if (c < 0x80) {
    if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) return CharClass::letter;
    if (c >= '0' && c <= '9') return CharClass::number;
    if (c == '\n' || c == '\r') return CharClass::line_end;
    return c == ' ' || (c >= 9 && c <= 12) ? CharClass::space : CharClass::other;
  }
  if (c == 0x85 || c == 0xa0 || c == 0x1680 || (c >= 0x2000 && c <= 0x200a) || c == 0x2028 ||
      c == 0x2029 || c == 0x202f || c == 0x205f || c == 0x3000)
    return CharClass::space;
  switch (utf8proc_category(static_cast<utf8proc_int32_t>(c))) {
    case UTF8PROC_CATEGORY_LU:
    case UTF8PROC_CATEGORY_LL:
    case UTF8PROC_CATEGORY_LT:
    case UTF8PROC_CATEGORY_LM:
    case UTF8PROC_CATEGORY_LO:
      return CharClass::letter;
    case UTF8PROC_CATEGORY_ND:
    case UTF8PROC_CATEGORY_NL:
    case UTF8PROC_CATEGORY_NO:
      return CharClass::number;
    default:
      return CharClass::other;
  }
}

size_t first_piece_length(std::string_view text) {
  SWARM_CHECK(!text.empty());
  if (const size_t length = contraction_length(text)) return length;
  const Char first = char_at(text, 0);
  if (first.kind == CharClass::letter) return run_end(text, 0, CharClass::letter);
  if (first.kind == CharClass::number) return first.length;
  const Char second = char_at(text, first.length);
  if (first.kind != CharClass::line_end && second.length != 0 && second.kind == CharClass::letter)
    return run_end(text, first.length, CharClass::letter);
  // Alternative 4: the optional blank is U+0020 only.
  const bool after_blank =
      first.code_point == ' ' && second.length != 0 && second.kind == CharClass::other;
  if (first.kind == CharClass::other || after_blank) {
    const size_t symbols = run_end(text, after_blank ? first.length : 0, CharClass::other);
    return run_end(text, symbols, CharClass::line_end);
  }
  return whitespace_length(text);
}

}  // namespace swarm::engine::text
