#include "orchestrator/cli/text.h"

#include <algorithm>

#include "engine/base/utf8.h"

namespace swarm::cli {

std::string as_text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : dump_json(value);
}

std::string counted(int64_t count, std::string_view one, std::string_view many) {
  std::string out = std::to_string(count) + " ";
  if (count != 1 && !many.empty()) return out += many;
  return out.append(one) += count == 1 ? "" : "s";
}

std::string shortened(std::string text, size_t bytes_max) {
  if (text.size() <= bytes_max) return text;
  text.resize(bytes_max);
  text.resize(text.size() - utf8_incomplete_tail(text));
  return text + " ...";
}

std::string on_one_line(std::string text, size_t bytes_max) {
  std::replace_if(
      text.begin(), text.end(), [](char c) { return c == '\n' || c == '\r' || c == '\t'; }, ' ');
  return shortened(std::move(text), bytes_max);
}

}  // namespace swarm::cli
