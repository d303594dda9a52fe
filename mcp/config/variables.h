// mcp/config/variables.h — ${NAME} and ${NAME:-default} in texts of server configurations. Pure
// functions; never recursive: what a variable holds is not looked at again.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"

namespace swarm::mcp {

struct TextPart {
  std::string literal;                   // when name is empty
  std::string name;                      // [A-Za-z_][A-Za-z0-9_]*, or input:ID
  std::optional<std::string> otherwise;  // its default
};

Result<std::vector<TextPart>> parse_variables(std::string_view text);

// nullopt = not set.
using Variable = std::function<std::optional<std::string>(const std::string& name)>;
// A variable that is neither set nor has a default is an error: nobody gets a literal "${...}".
Result<std::string> expand_variables(std::string_view text, const Variable& variable);

// What other programs write instead, as ${NAME}: ${env:NAME}, {{NAME}}, and a lone $NAME.
std::string canonical_variables(const std::string& text);

}  // namespace swarm::mcp
