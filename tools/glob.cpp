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

}  // namespace swarm::tools
