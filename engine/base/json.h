// engine/base/json.h — The only include of nlohmann/json. Json keeps object keys in the order they
// were written: tool schemas and prompts are passed on verbatim and must be byte-stable.
// Parsing is bounded; parse errors carry line and column.
#pragma once

// A Json never turns into something else unasked; say get<T>().
#define JSON_USE_IMPLICIT_CONVERSIONS 0

#include <cstddef>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "engine/base/error.h"

namespace swarm {

using Json = nlohmann::ordered_json;

struct JsonLimits {
  size_t bytes_max = size_t{64} << 20;
  size_t depth_max = 128;
};

// Strict JSON; duplicate object keys are refused. name: what to call the text in error locations.
Result<Json> parse_json(std::string_view text, std::string_view name = {}, JsonLimits limits = {});

// One line, separators ", " and ": " (the canonical spacing of Qwen tool calls), non-ASCII kept,
// invalid UTF-8 replaced by U+FFFD. Never throws.
std::string dump_json_spaced(const Json& value);

// One line without spaces, invalid UTF-8 replaced by U+FFFD. Never throws.
std::string dump_json(const Json& value);

}  // namespace swarm
