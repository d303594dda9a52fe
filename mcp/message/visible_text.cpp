#include "mcp/message/visible_text.h"

#include <array>
#include <cstdint>

#include "engine/base/utf8.h"

namespace swarm::mcp {
namespace {

struct Range {
  uint32_t first, last;
};

// Unicode 16, DerivedGeneralCategory: Cc, Cf; and the variation selectors of plane 14.
constexpr std::array<Range, 17> kInvisible{{{0x00, 0x08},       {0x0B, 0x0C},
                                            {0x0E, 0x1F},       {0x7F, 0x9F},
                                            {0xAD, 0xAD},       {0x600, 0x605},
                                            {0x61C, 0x61C},     {0x6DD, 0x6DD},
                                            {0x70F, 0x70F},     {0x180E, 0x180E},
                                            {0x200B, 0x200F},   {0x202A, 0x202E},
                                            {0x2060, 0x206F},   {0xFEFF, 0xFEFF},
                                            {0xFFF9, 0xFFFB},   {0x1D173, 0x1D17A},
                                            {0xE0000, 0xE01EF}}};

uint32_t code_point(std::string_view sequence) {
  const auto byte = [&](size_t i) { return static_cast<unsigned char>(sequence[i]); };
  if (sequence.size() == 1) return byte(0);
  uint32_t out = byte(0) & (0xFFu >> (sequence.size() + 1));
  for (size_t i = 1; i < sequence.size(); ++i) out = (out << 6) | (byte(i) & 0x3Fu);
  return out;
}

bool is_invisible(uint32_t code) {
  for (const Range& range : kInvisible)
    if (code >= range.first && code <= range.last) return true;
  return false;
}

}  // namespace

std::string visible_text(std::string_view text) {
  const std::string clean = utf8_sanitize(text);
  std::string out;
  for (size_t at = 0; at < clean.size();) {
    const std::string_view rest = std::string_view(clean).substr(at);
    const std::string_view sequence = rest.substr(0, utf8_sequence_length(rest));
    if (!is_invisible(code_point(sequence))) out += sequence;
    at += sequence.size();
  }
  return out;
}

}  // namespace swarm::mcp
