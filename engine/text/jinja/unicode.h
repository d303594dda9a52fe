// engine/text/jinja/unicode.h — Code points of strings as Python counts them. A byte that is not
// part of valid UTF-8 counts as one character. Pure functions, thread-safe.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace swarm::engine::text::jinja {

struct CodePoint {
  uint32_t value = 0;  // U+FFFD for an invalid byte
  size_t begin = 0;    // byte offset
  size_t size = 0;     // bytes
};

CodePoint code_point_at(std::string_view text, size_t offset);  // offset < size
std::vector<CodePoint> code_points(std::string_view text);
size_t count_code_points(std::string_view text);

bool is_space(uint32_t code_point);      // str.isspace
bool is_printable(uint32_t code_point);  // str.isprintable
bool is_letter(uint32_t code_point);     // str.isalpha
bool is_digit(uint32_t code_point);      // decimal digits (category Nd)
bool is_upper(uint32_t code_point);
bool is_lower(uint32_t code_point);
// Simple (one to one) case mapping: sharp s stays as it is, unlike Python's upper().
uint32_t to_upper(uint32_t code_point);
uint32_t to_lower(uint32_t code_point);
uint32_t to_title(uint32_t code_point);

}  // namespace swarm::engine::text::jinja
