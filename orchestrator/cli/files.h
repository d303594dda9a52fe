// orchestrator/cli/files.h — Options and loading shared by the commands that read a swarm file.
#pragma once

#include <string>
#include <vector>

#include "orchestrator/cli/commands.h"
#include "orchestrator/config/load.h"

namespace swarm::cli {

struct FileOptions {
  std::string file;
  std::vector<std::string> inputs;   // NAME=VALUE
  std::vector<std::string> sets;     // PATH=VALUE
};

// FILE, --in and --set.
void add_file_options(CLI::App& sub, FileOptions& options);

// Directory of the running binary: ${swarm.bin_dir}.
std::string binary_directory(const CommandContext& context);

// Loads; problems go to context.err. nullopt and an exit code when there are any.
struct LoadedFile {
  std::optional<config::Config> config;
  int code = kExitOk;
  std::vector<config::Unused> unused = {};
  std::string unused_report = {};        // of them, with carets
};
LoadedFile load_swarm(const FileOptions& options, bool need_inputs, CommandContext& context);

}  // namespace swarm::cli
