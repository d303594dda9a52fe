// mcp/client/result.h — What a server says about its tools and calls, in our terms. Pure functions
// over untrusted JSON; they never throw.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/json.h"
#include "tools/tool.h"

namespace swarm::mcp {

// The result of tools/call as text for a model: text blocks joined by line ends; other content as a
// short note (base64 never becomes text); structuredContent only when no text block repeats it.
tools::ToolResult tool_result(const Json& result);

// Public names, [A-Za-z0-9_-]{1,64}: server + "__" + tool. Other characters become '_'; names that
// are too long, or that collide only because characters were replaced, end in a stable hash of the
// original. Independent of the order of `tool_names`, which are distinct.
std::map<std::string, std::string> public_names(std::string_view server,
                                                const std::vector<std::string>& tool_names);

// The hints of a tool; unknown means once.
tools::Effect effect_of(const Json& tool);

}  // namespace swarm::mcp
