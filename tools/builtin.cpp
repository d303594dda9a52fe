#include "tools/builtin/builtin.h"

#include <array>

namespace swarm::tools {

std::span<const std::string> builtin_names() {
  static const std::array<std::string, 3> kNames{"calculator", "now", "read_file"};
  return kNames;
}

Result<std::shared_ptr<Tool>> make_builtin(std::string_view name, const BuiltinOptions& options) {
  if (name == "calculator") return builtin::make_calculator();
  if (name == "now") return builtin::make_now(options.clock);
  if (name == "read_file") return builtin::make_read_file(options.read_file_root);
  const std::string close = did_you_mean(name, builtin_names());
  return invalid_input("unknown built-in tool \"" + std::string(name) + "\"; " +
                       (close.empty() ? "there are calculator, now, read_file"
                                      : "did you mean \"" + close + "\"?"));
}

}  // namespace swarm::tools
