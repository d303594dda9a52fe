// tools/glob.h — Patterns of '*' (any run, also empty) and '?' (one byte). Pure. Time is bounded by
// the product of both lengths: only the last '*' is retried.
#pragma once

#include <string>
#include <string_view>

#include "tools/tool.h"

namespace swarm::tools {

bool glob_matches(std::string_view pattern, std::string_view text);

// "shop/price" is how people write the public name "shop__price".
std::string public_form(std::string_view pattern);

// Whether somebody who writes the pattern means this tool: by its public name, or as SERVER/TOOL by
// the names that its server uses. "a/b__c" never means the tool c of a server a__b.
bool names_tool(std::string_view pattern, const ToolSpec& spec);

}  // namespace swarm::tools
