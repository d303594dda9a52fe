// mcp/client/trace_context.h — W3C trace context of a call, carried in _meta so that what a server
// traces joins what the run traces. Pure functions.
#pragma once

#include <string>
#include <string_view>

namespace swarm::mcp {

// The span of a call: 16 hex digits of FNV-1a over its id, which the journal has.
std::string span_of(std::string_view call_id);
// "00-TRACE-SPAN-01". trace_id: 32 hex digits.
std::string traceparent(std::string_view trace_id, std::string_view call_id);

}  // namespace swarm::mcp
