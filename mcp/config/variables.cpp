#include "mcp/config/variables.h"

#include <algorithm>

namespace swarm::mcp {
namespace {

bool is_name(std::string_view text) {
  if (text.rfind("input:", 0) == 0) return text.size() > 6;
  const auto letter = [](char c) {
    return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_';
  };
  return !text.empty() && letter(text[0]) && std::all_of(text.begin(), text.end(), [&](char c) {
    return letter(c) || (c >= '0' && c <= '9');
  });
}

// Replaces opening NAME closing by ${NAME}.
std::string rewritten(const std::string& text, std::string_view opening,
                      std::string_view closing) {
  std::string out;
  size_t at = 0;
  while (at < text.size()) {
    const size_t begin = text.find(opening, at);
    const size_t end = begin == std::string::npos ? begin : text.find(closing, begin);
    if (end == std::string::npos) break;
    const size_t name_begin = begin + opening.size();
    const std::string name = text.substr(name_begin, end - name_begin);
    out += text.substr(at, begin - at);
    out += is_name(name) ? "${" + name + "}" : text.substr(begin, end + closing.size() - begin);
    at = end + closing.size();
  }
  return out + text.substr(std::min(at, text.size()));
}

}  // namespace

Result<std::vector<TextPart>> parse_variables(std::string_view text) {
  std::vector<TextPart> out;
  while (!text.empty()) {
    const size_t begin = text.find("${");
    if (begin != 0) {
      out.push_back({.literal = std::string(text.substr(0, begin)), .name = {}, .otherwise = {}});
      text.remove_prefix(std::min(begin, text.size()));
      continue;
    }
    const size_t end = text.find('}');
    if (end == std::string_view::npos) return invalid_input("a \"${\" without its \"}\"");
    const std::string_view inside = text.substr(2, end - 2);
    const size_t dash = inside.find(":-");
    TextPart part;
    part.name = inside.substr(0, dash);
    if (dash != std::string_view::npos) part.otherwise = std::string(inside.substr(dash + 2));
    if (!is_name(part.name))
      return invalid_input("expected the name of a variable, found \"" + part.name + "\"");
    out.push_back(std::move(part));
    text.remove_prefix(end + 1);
  }
  return out;
}

Result<std::string> expand_variables(std::string_view text, const Variable& variable) {
  SWARM_TRY(const std::vector<TextPart> parts, parse_variables(text));
  std::string out;
  for (const TextPart& part : parts) {
    if (part.name.empty()) {
      out += part.literal;
      continue;
    }
    const std::optional<std::string> value = variable(part.name);
    // As in a shell, ":-" also stands in for an empty value.
    if (value && (!value->empty() || !part.otherwise)) {
      out += *value;
    } else if (part.otherwise) {
      out += *part.otherwise;
    } else {
      return environment_error("variable \"" + part.name + "\" is not set");
    }
  }
  return out;
}

std::string canonical_variables(const std::string& text) {
  if (text.size() > 1 && text[0] == '$' && is_name(std::string_view(text).substr(1)))
    return "${" + text.substr(1) + "}";
  return rewritten(rewritten(text, "${env:", "}"), "{{", "}}");
}

}  // namespace swarm::mcp
