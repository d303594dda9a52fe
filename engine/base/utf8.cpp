#include "engine/base/utf8.h"

#include <algorithm>

namespace swarm {
namespace {

struct Lead {
  size_t length = 0;        // whole sequence in bytes; 0 = not a lead byte
  uint8_t second_min = 0x80;  // narrower ranges of the second byte exclude overlong forms,
  uint8_t second_max = 0xbf;  // surrogates and code points above U+10FFFF (Unicode table 3-7)
};

Lead classify(uint8_t byte) {
  if (byte < 0x80) return {1};
  if (byte >= 0xc2 && byte <= 0xdf) return {2};
  if (byte == 0xe0) return {3, 0xa0, 0xbf};
  if (byte == 0xed) return {3, 0x80, 0x9f};
  if (byte >= 0xe1 && byte <= 0xef) return {3};
  if (byte == 0xf0) return {4, 0x90, 0xbf};
  if (byte >= 0xf1 && byte <= 0xf3) return {4};
  if (byte == 0xf4) return {4, 0x80, 0x8f};
  return {0};
}

// How many leading bytes of text form a correct beginning of one sequence (at most its length).
size_t correct_prefix(std::string_view text, const Lead& lead) {
  size_t good = 1;
  for (; good < std::min(lead.length, text.size()); ++good) {
    const auto byte = static_cast<uint8_t>(text[good]);
    const uint8_t low = good == 1 ? lead.second_min : 0x80;
    const uint8_t high = good == 1 ? lead.second_max : 0xbf;
    if (byte < low || byte > high) break;
  }
  return good;
}

}  // namespace

size_t utf8_sequence_length(std::string_view text) {
  if (text.empty()) return 0;
  const Lead lead = classify(static_cast<uint8_t>(text[0]));
  if (lead.length == 0 || correct_prefix(text, lead) < lead.length) return 0;
  return lead.length;
}

size_t utf8_incomplete_tail(std::string_view text) {
  for (size_t back = 1; back <= std::min<size_t>(3, text.size()); ++back) {
    const std::string_view tail = text.substr(text.size() - back);
    const Lead lead = classify(static_cast<uint8_t>(tail[0]));
    if (lead.length == 0) continue;  // A continuation byte: look further back for its lead.
    return lead.length > back && correct_prefix(tail, lead) == back ? back : 0;
  }
  return 0;
}

size_t utf8_valid_prefix(std::string_view text) {
  size_t valid = 0;
  while (valid < text.size()) {
    const size_t length = utf8_sequence_length(text.substr(valid));
    if (length == 0) break;
    valid += length;
  }
  return valid;
}

bool utf8_is_valid(std::string_view text) { return utf8_valid_prefix(text) == text.size(); }

std::string utf8_sanitize(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    if (const size_t length = utf8_sequence_length(text)) {
      out.append(text.substr(0, length));
      text.remove_prefix(length);
      continue;
    }
    out += "\xef\xbf\xbd";
    const Lead lead = classify(static_cast<uint8_t>(text[0]));
    text.remove_prefix(lead.length == 0 ? 1 : correct_prefix(text, lead));
  }
  return out;
}

void utf8_append(std::string& out, uint32_t code_point) {
  if (code_point > 0x10ffff || (code_point >= 0xd800 && code_point <= 0xdfff)) code_point = 0xfffd;
  const auto put = [&](uint32_t byte) { out += static_cast<char>(static_cast<uint8_t>(byte)); };
  if (code_point < 0x80) {
    put(code_point);
  } else if (code_point < 0x800) {
    put(0xc0 | (code_point >> 6));
    put(0x80 | (code_point & 0x3f));
  } else if (code_point < 0x10000) {
    put(0xe0 | (code_point >> 12));
    put(0x80 | ((code_point >> 6) & 0x3f));
    put(0x80 | (code_point & 0x3f));
  } else {
    put(0xf0 | (code_point >> 18));
    put(0x80 | ((code_point >> 12) & 0x3f));
    put(0x80 | ((code_point >> 6) & 0x3f));
    put(0x80 | (code_point & 0x3f));
  }
}

}  // namespace swarm
