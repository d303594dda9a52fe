#include "tools/glob.h"

namespace swarm::tools {

bool glob_matches(std::string_view pattern, std::string_view text) {
  size_t p = 0, t = 0;
  size_t star = std::string_view::npos, resume = 0;
  while (t < text.size()) {
    if (p < pattern.size() && pattern[p] == '*') {
      star = p++;
      resume = t;
    } else if (p < pattern.size() && (pattern[p] == '?' || pattern[p] == text[t])) {
      ++p, ++t;
    } else if (star != std::string_view::npos) {
      p = star + 1;
      t = ++resume;
    } else {
      return false;
    }
  }
  while (p < pattern.size() && pattern[p] == '*') ++p;
  return p == pattern.size();
}

std::string public_form(std::string_view pattern) {
  std::string out(pattern);
  if (const size_t slash = out.find('/'); slash != std::string::npos) out.replace(slash, 1, "__");
  return out;
}

bool names_tool(std::string_view pattern, const ToolSpec& spec) {
  const size_t slash = pattern.find('/');
  if (slash == std::string_view::npos || !spec.is_remote())
    return glob_matches(public_form(pattern), spec.name);
  if (!glob_matches(pattern.substr(0, slash), spec.server)) return false;
  const std::string tool(pattern.substr(slash + 1));
  return glob_matches(tool, spec.remote_name) ||
         glob_matches(spec.server + "__" + tool, spec.name);
}

}  // namespace swarm::tools
