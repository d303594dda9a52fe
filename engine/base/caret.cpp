#include "engine/base/caret.h"

#include <algorithm>
#include <cstdint>

#include "engine/base/utf8.h"

namespace swarm {
namespace {

std::string_view line_of(std::string_view source, int line) {
  for (int current = 1; current < line; ++current) {
    const size_t end = source.find('\n');
    if (end == std::string_view::npos) return {};
    source.remove_prefix(end + 1);
  }
  std::string_view found = source.substr(0, source.find('\n'));
  if (!found.empty() && found.back() == '\r') found.remove_suffix(1);
  return found;
}

// The first character of a text: how many bytes it has, how many cells of a terminal it takes.
struct Glyph {
  size_t bytes = 1;
  size_t cells = 1;
};

Glyph glyph_at(std::string_view text) {
  const size_t bytes = utf8_sequence_length(text);
  if (bytes < 2) return {};
  uint32_t code = static_cast<unsigned char>(text[0]) & (0xffu >> (bytes + 1));
  for (size_t i = 1; i < bytes; ++i)
    code = code << 6 | (static_cast<unsigned char>(text[i]) & 0x3f);
  struct Range {
    uint32_t first, last;
  };
  // East Asian wide and fullwidth blocks, and emoji (Unicode Standard Annex 11), whole blocks.
  constexpr Range kWide[] = {{0x1100, 0x115f},   {0x2e80, 0xa4cf},   {0xac00, 0xd7a3},
                             {0xf900, 0xfaff},   {0xfe30, 0xfe6f},   {0xff00, 0xff60},
                             {0xffe0, 0xffe6},   {0x1f300, 0x1f64f}, {0x1f900, 0x1f9ff},
                             {0x20000, 0x3fffd}};
  const bool wide = std::ranges::any_of(
      kWide, [code](const Range& range) { return code >= range.first && code <= range.last; });
  const bool joins = (code >= 0x300 && code <= 0x36f) || code == 0x200b || code == 0x200d;
  return {bytes, joins ? size_t{0} : wide ? size_t{2} : size_t{1}};
}

}  // namespace

std::string caret_lines(const SourceLocation& place, std::string_view source, int width) {
  std::string text;
  if (place.line <= 0) return text;
  const std::string_view line = line_of(source, place.line);
  std::string number = std::to_string(place.line);
  if (number.size() < 5) number.insert(0, 5 - number.size(), ' ');
  text += "\n" + number + " | " + std::string(line);
  if (place.column <= 0) return text;
  text += "\n" + std::string(number.size(), ' ') + " | ";
  const auto before = line.substr(0, static_cast<size_t>(place.column - 1));
  // A tab before the caret stays a tab, so that the caret lines up in any terminal.
  for (size_t i = 0; i < before.size();) {
    const Glyph glyph = glyph_at(before.substr(i));
    text += before[i] == '\t' ? "\t" : std::string(glyph.cells, ' ');
    i += glyph.bytes;
  }
  // Past the end of the line there is nothing to measure.
  text.append(static_cast<size_t>(place.column - 1) - before.size(), ' ');
  const std::string_view marked = line.substr(before.size());
  const auto bytes = static_cast<size_t>(std::max(width, 1));
  size_t cells = bytes - std::min(bytes, marked.size());
  for (size_t i = 0; i < std::min(bytes, marked.size());) {
    const Glyph glyph = glyph_at(marked.substr(i));
    cells += glyph.cells;
    i += glyph.bytes;
  }
  return text + "^" + std::string(std::max<size_t>(cells, 1) - 1, '~');
}

}  // namespace swarm
