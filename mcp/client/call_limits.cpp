#include "mcp/client/call_limits.h"

namespace swarm::mcp {

using std::chrono::milliseconds;

bool fits(std::string_view pattern, std::string_view name) {
  if (pattern.empty() || pattern.back() != '*') return pattern == name;
  return name.starts_with(pattern.substr(0, pattern.size() - 1));
}

CallLimits limits_of(const ServerConfig& server, const std::string& tool) {
  milliseconds call = server.call_timeout, call_max = server.call_timeout_max;
  milliseconds idle = server.idle_timeout;
  for (const ToolLimits& limits : server.tool_limits) {
    if (!fits(limits.tool, tool)) continue;
    call = limits.call_timeout.value_or(call);
    call_max = limits.call_timeout_max.value_or(call_max);
    idle = limits.idle_timeout.value_or(idle);
    break;
  }
  CallLimits out;
  out.total = call_max.count() > 0 ? call_max : call;
  out.idle = idle;
  const bool renewed = out.total > call;          // by progress
  if (renewed && (idle.count() == 0 || call < idle)) out.idle = call;
  return out;
}

}  // namespace swarm::mcp
