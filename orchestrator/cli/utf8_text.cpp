#include "orchestrator/cli/utf8_text.h"

#include <algorithm>

#include "engine/base/utf8.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/config/yaml.h"

namespace swarm::cli {

Result<std::string> read_utf8(const std::string& path, std::istream& in) {
  SWARM_TRY(std::string text, read_text(path, in));
  const size_t bad = utf8_valid_prefix(text);
  if (bad == text.size()) return text;
  const std::string_view before = std::string_view(text).substr(0, bad);
  const auto line = 1 + std::count(before.begin(), before.end(), '\n');
  const size_t line_start = before.rfind('\n') + 1;  // npos + 1 = 0
  return Error{ErrorKind::invalid_input,
               "expected UTF-8 text, found " + config::byte_text(text[bad]),
               {.file = path == "-" ? "stdin" : path, .line = static_cast<int>(line),
                .column = static_cast<int>(bad - line_start) + 1}};
}

}  // namespace swarm::cli
