#include "mcp/server/uri_template.h"

#include <algorithm>

namespace swarm::mcp {

bool matches_template(std::string_view uri_template, std::string_view uri) {
  while (true) {
    const size_t open = uri_template.find('{');
    const std::string_view literal = uri_template.substr(0, open);
    if (uri.substr(0, literal.size()) != literal) return false;
    uri.remove_prefix(literal.size());
    if (open == std::string_view::npos) return uri.empty();
    const size_t close = uri_template.find('}', open);
    if (close == std::string_view::npos) return false;
    uri_template.remove_prefix(close + 1);
    // The value ends where the next literal begins; values hold no '/'.
    const std::string_view next = uri_template.substr(0, uri_template.find('{'));
    size_t end = std::min(uri.find('/'), uri.size());
    if (!next.empty() && next[0] != '/') end = std::min(uri.find(next), end);
    if (end == 0) return false;
    uri.remove_prefix(end);
  }
}

}  // namespace swarm::mcp
