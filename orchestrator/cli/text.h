// orchestrator/cli/text.h — Small pieces of text for people. Pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

#include "engine/base/json.h"

namespace swarm::cli {

// Text as it is, everything else as JSON.
std::string as_text(const Json& value);

// "1 agent", "2 agents"; many: "topologies" where an s is not enough.
std::string counted(int64_t count, std::string_view one, std::string_view many = "");

// At most bytes_max of it, whole characters, and " ..." when it was longer.
std::string shortened(std::string text, size_t bytes_max);
// The same on one line: ends of lines and tabs become blanks.
std::string on_one_line(std::string text, size_t bytes_max);

}  // namespace swarm::cli
