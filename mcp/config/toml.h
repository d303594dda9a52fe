// mcp/config/toml.h — TOML 1.0 as a JSON value: what Codex keeps its list of servers in.
// Pure over untrusted text.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/error.h"
#include "engine/base/json.h"

namespace swarm::mcp {

// Dates and times become their text; keys come in alphabetical order. name: of the file, for the
// place in errors (kind invalid_input).
Result<Json> parse_toml(std::string_view text, const std::string& name);

}  // namespace swarm::mcp
