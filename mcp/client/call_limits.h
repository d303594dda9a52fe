// mcp/client/call_limits.h — How long a call of a tool may take, by configuration. Pure functions.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "mcp/server_config.h"

namespace swarm::mcp {

struct CallLimits {
  std::chrono::milliseconds total{0};             // whatever it reports
  std::chrono::milliseconds idle{0};              // between two signs of life; 0 = no limit
};
CallLimits limits_of(const ServerConfig& server, const std::string& tool);

// Exact, or the beginning of the name before a '*' at the end of the pattern.
bool fits(std::string_view pattern, std::string_view name);

}  // namespace swarm::mcp
