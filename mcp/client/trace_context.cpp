#include "mcp/client/trace_context.h"

#include <algorithm>

#include "engine/base/rng.h"

namespace swarm::mcp {

std::string span_of(std::string_view call_id) {
  constexpr char kDigits[] = "0123456789abcdef";
  uint64_t hash = std::max<uint64_t>(hash_text(call_id), 1);  // all zeros would be invalid
  std::string out(16, '0');
  for (size_t i = out.size(); i-- > 0; hash >>= 4) out[i] = kDigits[hash & 15];
  return out;
}

std::string traceparent(std::string_view trace_id, std::string_view call_id) {
  return "00-" + std::string(trace_id) + "-" + span_of(call_id) + "-01";
}

}  // namespace swarm::mcp
