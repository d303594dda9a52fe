#include "mcp/config/toml.h"

#include <sstream>
#include <stdexcept>

#include "engine/base/utf8.h"

// toml++ 3.3 checks with assertions what some inputs break ("[[[", mended upstream in pull request
// 301), and without assertions lets the compiler assume it: in every build they are exceptions.
namespace swarm::mcp {
[[noreturn]] inline void throw_bad_toml() { throw std::logic_error("invalid TOML"); }
}  // namespace swarm::mcp
#pragma push_macro("NDEBUG")
#undef NDEBUG
#define TOML_ASSERT(expr) \
  (static_cast<bool>(expr) ? static_cast<void>(0) : ::swarm::mcp::throw_bad_toml())
#define TOML_ENABLE_FORMATTERS 0
#include <toml++/toml.h>
#pragma pop_macro("NDEBUG")

namespace swarm::mcp {
namespace {

// Where a blank may stand, toml++ 3.3 has undefined behaviour for most of U+0080 to U+FEFF (a table
// of blanks whose gaps count as unreachable). So these travel in plane 15, for private use.
constexpr uint32_t kAway = 0xF0000;

// Of valid UTF-8: the code point at the front, which is taken off.
uint32_t take_code_point(std::string_view& text) {
  const size_t size = utf8_sequence_length(text);
  const auto byte = [&](size_t i) { return static_cast<uint32_t>(static_cast<uint8_t>(text[i])); };
  uint32_t out = size == 1 ? byte(0) : byte(0) & (0x7Fu >> size);
  for (size_t i = 1; i < size; ++i) out = out << 6 | (byte(i) & 0x3F);
  text.remove_prefix(size);
  return out;
}

std::string moved_away(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const uint32_t point = take_code_point(text);
    if (point >= kAway) throw std::logic_error("characters for private use are not supported");
    utf8_append(out, point >= 0x80 && point < 0x10000 ? point + kAway : point);
  }
  return out;
}

std::string moved_back(std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const uint32_t point = take_code_point(text);
    utf8_append(out, point >= kAway ? point - kAway : point);
  }
  return out;
}

Json json_of(const toml::node& node) {
  if (const toml::table* table = node.as_table()) {
    Json out = Json::object();
    for (const auto& [key, value] : *table) out[moved_back(key.str())] = json_of(value);
    return out;
  }
  if (const toml::array* array = node.as_array()) {
    Json out = Json::array();
    for (const toml::node& item : *array) out.push_back(json_of(item));
    return out;
  }
  if (const auto* text = node.as_string()) return moved_back(text->get());
  if (const auto* number = node.as_integer()) return number->get();
  if (const auto* number = node.as_floating_point()) return number->get();
  if (const auto* flag = node.as_boolean()) return flag->get();
  std::ostringstream out;
  if (const auto* date = node.as_date()) out << date->get();
  if (const auto* time = node.as_time()) out << time->get();
  if (const auto* both = node.as_date_time()) out << both->get();
  return out.str();
}

}  // namespace

Result<Json> parse_toml(std::string_view text, const std::string& name) {
  try {
    if (!utf8_is_valid(text)) throw std::logic_error("invalid TOML: not UTF-8");
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    return json_of(toml::parse(moved_away(text)));
  } catch (const toml::parse_error& e) {
    const toml::source_position at = e.source().begin;
    Error error = invalid_input("invalid TOML: " + std::string(e.description()));
    error.location = {name, static_cast<int>(at.line), static_cast<int>(at.column)};
    return error;
  } catch (const std::logic_error& e) {
    return invalid_input(name + ": " + e.what());
  }
}

}  // namespace swarm::mcp
