// swarm validate — every mistake of a file at once; starts and reads nothing else.
#include <CLI/CLI.hpp>

#include "engine/base/json.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/files.h"
#include "orchestrator/cli/text.h"

namespace swarm::cli {
namespace {

struct Options {
  FileOptions file;
  bool json = false;
};

Result<int> run_validate(const Options& options, CommandContext& context) {
  const LoadedFile loaded = load_swarm(options.file, /*need_inputs=*/false, context);
  if (!loaded.config) return loaded.code;
  const config::Config& config = *loaded.config;
  if (options.json) {
    context.out << dump_json({{"valid", true},
                              {"name", config.name},
                              {"agents", config.agents.size()},
                              {"topologies", config.topologies.size()},
                              {"tasks", config.tasks.size()}})
                << "\n";
    return kExitOk;
  }
  context.out << options.file.file << ": valid: " << counted(std::ssize(config.agents), "agent")
              << ", " << counted(std::ssize(config.topologies), "topology", "topologies") << ", "
              << counted(std::ssize(config.tasks), "task") << "\n";
  return kExitOk;
}

}  // namespace

void register_validate(CLI::App& app, CommandContext& context) {
  CLI::App* sub = app.add_subcommand("validate", "Check a swarm file; report every mistake");
  auto options = std::make_shared<Options>();
  add_file_options(*sub, options->file);
  sub->add_flag("--json", options->json, "print one JSON object");
  set_action(*sub, context, options, run_validate);
}

}  // namespace swarm::cli
