#include "engine/base/text_file.h"

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "engine/base/units.h"

namespace swarm {

Result<std::string> read_text_stream(std::istream& in, const std::string& name,
                                     size_t bytes_max) {
  constexpr size_t kFirst = size_t{64} << 10;
  std::string text;
  for (size_t filled = 0; in.good(); text.resize(filled)) {
    // One byte beyond the bound tells a text that ends there from one that goes on.
    text.resize(std::min(std::max(kFirst, 2 * filled), bytes_max + 1));
    in.read(text.data() + filled, static_cast<std::streamsize>(text.size() - filled));
    filled += static_cast<size_t>(in.gcount());
    if (filled > bytes_max)
      return Error{ErrorKind::invalid_input,
                   "expected a text of at most " + format_bytes(bytes_max) + ", found a longer one",
                   {.file = name}};
  }
  if (in.bad()) return environment_error("cannot read \"" + name + "\"");
  return text;
}

Result<std::string> read_text_file(const std::string& path, size_t bytes_max) {
  std::error_code ignored;
  std::ifstream in(path, std::ios::binary);
  if (!in || std::filesystem::is_directory(path, ignored))
    return environment_error("cannot read file \"" + path + "\"");
  return read_text_stream(in, path, bytes_max);
}

}  // namespace swarm
