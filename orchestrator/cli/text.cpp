#include "orchestrator/cli/text.h"

namespace swarm::cli {

std::string as_text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : dump_json(value);
}

std::string counted(int64_t count, std::string_view one, std::string_view many) {
  std::string out = std::to_string(count) + " ";
  if (count != 1 && !many.empty()) return out += many;
  return out.append(one) += count == 1 ? "" : "s";
}

}  // namespace swarm::cli
