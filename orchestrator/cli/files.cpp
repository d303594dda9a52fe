#include "orchestrator/cli/files.h"

#include <CLI/CLI.hpp>
#include <filesystem>

namespace swarm::cli {

namespace fs = std::filesystem;

void add_file_options(CLI::App& sub, FileOptions& options) {
  sub.add_option("FILE", options.file, "swarm file (YAML)")->required();
  sub.add_option("--in", options.inputs, "value of an input; may be repeated")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  sub.add_option("--set", options.sets, "overrides a key, e.g. topologies.desk.match.tau=0.5")
      ->type_name("PATH=VALUE")
      ->allow_extra_args(false);
}

std::string binary_directory(const CommandContext& context) {
  std::error_code failure;
  const fs::path self = fs::read_symlink("/proc/self/exe", failure);
  if (!failure) return self.parent_path().string();
  return fs::absolute(context.program).parent_path().string();
}

LoadedFile load_swarm(const FileOptions& options, bool need_inputs, CommandContext& context) {
  config::LoadOptions load{.inputs = {}, .sets = options.sets, .need_inputs = need_inputs,
                           .bin_dir = binary_directory(context)};
  for (const std::string& input : options.inputs) {
    const size_t equals = input.find('=');
    if (equals == std::string::npos || equals == 0) {
      const Error error = invalid_input("--in: expected NAME=VALUE, found \"" + input + "\"");
      return {.config = std::nullopt, .code = report_errors(std::span(&error, 1), "", context)};
    }
    load.inputs[input.substr(0, equals)] = input.substr(equals + 1);
  }
  config::Loaded loaded = config::load_file(options.file, load);
  for (const std::string& warning : loaded.warnings) context.err << "warning: " << warning << "\n";
  if (loaded.config)
    return {.config = std::move(loaded.config), .code = kExitOk, .unused = loaded.unused,
            .unused_report = loaded.unused_report()};
  return {.config = std::nullopt, .code = report_errors(loaded.errors(), loaded.report(), context)};
}

}  // namespace swarm::cli
