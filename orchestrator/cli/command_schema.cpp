// swarm schema — the JSON Schema of a swarm file, from the table that the loader validates with.
#include <CLI/CLI.hpp>

#include "orchestrator/cli/commands.h"
#include "orchestrator/config/schema.h"

namespace swarm::cli {
namespace {

struct SchemaOptions {
  bool markdown = false;
};

// The table of configs/schema.md.
void print_markdown(std::ostream& out) {
  out << "| key | value | default | meaning |\n|---|---|---|---|\n";
  for (const config::ListedKey& listed : config::list_keys()) {
    const config::Key& key = *listed.key;
    const bool shown = !key.fallback.is_null();
    out << "| `" << listed.path << "` | " << config::type_text(key.type) << " | "
        << (key.required ? "required" : shown ? "`" + dump_json(key.fallback) + "`" : "") << " | "
        << key.doc << " |\n";
  }
}

Result<int> run_schema(const SchemaOptions& options, CommandContext& context) {
  if (options.markdown) {
    print_markdown(context.out);
  } else {
    context.out << config::json_schema().dump(2) << "\n";
  }
  return kExitOk;
}

}  // namespace

void register_schema(CLI::App& app, CommandContext& context) {
  CLI::App* sub = app.add_subcommand("schema", "The JSON Schema of a swarm file");
  auto options = std::make_shared<SchemaOptions>();
  sub->add_flag("--markdown", options->markdown, "a table of all keys instead");
  set_action(*sub, context, options, run_schema);
}

}  // namespace swarm::cli
