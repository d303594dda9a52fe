#include "mcp/config/toml.h"

#define TOML_EXCEPTIONS 0
#define TOML_ENABLE_FORMATTERS 0
#include <sstream>
#include <toml++/toml.h>

namespace swarm::mcp {
namespace {

Json json_of(const toml::node& node) {
  if (const toml::table* table = node.as_table()) {
    Json out = Json::object();
    for (const auto& [key, value] : *table) out[std::string(key.str())] = json_of(value);
    return out;
  }
  if (const toml::array* array = node.as_array()) {
    Json out = Json::array();
    for (const toml::node& item : *array) out.push_back(json_of(item));
    return out;
  }
  if (const auto* text = node.as_string()) return text->get();
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
  const toml::parse_result parsed = toml::parse(text);
  if (parsed) return json_of(parsed.table());
  const toml::source_position at = parsed.error().source().begin;
  Error error = invalid_input(std::string(parsed.error().description()));
  error.location = {name, static_cast<int>(at.line), static_cast<int>(at.column)};
  return error;
}

}  // namespace swarm::mcp
