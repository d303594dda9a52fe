#include <algorithm>
#include <array>

#include "tools/builtin/builtin.h"

namespace swarm::tools {
namespace {

bool is_one_of(std::string_view name, std::initializer_list<std::string_view> names) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

}  // namespace

std::span<const std::string> builtin_names() {
  static const std::array<std::string, 11> kNames{
      "calculator", "now",          "read_file", "write_file",       "edit_file",
      "list_directory", "search_files", "shell",     "code_interpreter", "read_artifact",
      "http_fetch"};
  return kNames;
}

bool builtin_needs_root(std::string_view name) {
  return is_one_of(name,
                   {"read_file", "write_file", "edit_file", "list_directory", "search_files"});
}

bool builtin_takes_root(std::string_view name) {
  return builtin_needs_root(name) || is_one_of(name, {"shell", "code_interpreter"});
}

Result<std::shared_ptr<Tool>> make_builtin(std::string_view name, const BuiltinOptions& options) {
  const std::string& root = options.program.root;
  const builtin::Growth growth(options.grown, options.program.disk_bytes_max);
  if (name == "calculator") return builtin::make_calculator();
  if (name == "now") return builtin::make_now(options.clock);
  if (name == "read_file") return builtin::make_read_file(root);
  if (name == "write_file") return builtin::make_write_file(root, growth);
  if (name == "edit_file") return builtin::make_edit_file(root, growth);
  if (name == "list_directory") return builtin::make_list_directory(root);
  if (name == "search_files") return builtin::make_search_files(root);
  if (name == "shell") return builtin::make_shell(options.program);
  if (name == "code_interpreter") return builtin::make_code_interpreter(options.program);
  if (name == "read_artifact") return builtin::make_read_artifact(options.artifacts);
  if (name == "http_fetch")
    return unsupported("http_fetch is made with a connection, see tools/http_fetch.h");
  const std::string close = did_you_mean(name, builtin_names());
  std::string known;
  for (const std::string& one : builtin_names()) known += (known.empty() ? "" : ", ") + one;
  return invalid_input("unknown built-in tool \"" + std::string(name) + "\"; " +
                       (close.empty() ? "there are " + known
                                      : "did you mean \"" + close + "\"?"));
}

}  // namespace swarm::tools
