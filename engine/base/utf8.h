// engine/base/utf8.h — Small UTF-8 helpers; Unicode properties come from utf8proc where needed.
// Pure functions, thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace swarm {

// Length in bytes of the valid sequence at the start of text, or 0 if it is invalid or incomplete.
size_t utf8_sequence_length(std::string_view text);

// True if the tail of text could become a valid sequence when more bytes arrive.
// Returns how many trailing bytes are such an unfinished sequence (0..3).
size_t utf8_incomplete_tail(std::string_view text);

// How many leading bytes are valid; text.size() when all are.
size_t utf8_valid_prefix(std::string_view text);

bool utf8_is_valid(std::string_view text);

// Every maximal invalid part becomes U+FFFD.
std::string utf8_sanitize(std::string_view text);

// Appends the UTF-8 form of a code point (surrogates and out-of-range become U+FFFD).
void utf8_append(std::string& out, uint32_t code_point);

}  // namespace swarm
