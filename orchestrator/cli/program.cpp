#include <CLI/CLI.hpp>
#include <algorithm>
#include <fstream>
#include <iterator>
#include <map>
#include <vector>

#include "orchestrator/cli/commands.h"

namespace swarm::cli {
namespace {

const std::map<std::string, LogLevel> kLogLevels{{"debug", LogLevel::debug},
                                                 {"info", LogLevel::info},
                                                 {"warn", LogLevel::warn},
                                                 {"error", LogLevel::error},
                                                 {"off", LogLevel::off}};

constexpr const char* kExitCodesHelp =
    "Exit codes: 0 ok, 1 run failed, 2 invalid input, 3 environment (model, device, server or file "
    "missing), 4 budget, 5 gate pending, 130 interrupted.";

int report(const Error& error, std::ostream& err) {
  err << error.to_text() << "\n";
  return exit_code(error.kind);
}

// CLI11 only says that a subcommand is missing; people want to know which word was wrong.
std::string unknown_command(CLI::App& app, int argc, const char* const* argv) {
  std::vector<std::string> known;
  for (const CLI::App* sub : app.get_subcommands([](CLI::App*) { return true; }))
    known.push_back(sub->get_name());
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--log-level") ++i;
    if (word.starts_with("-")) continue;
    if (std::find(known.begin(), known.end(), word) != known.end()) return "";
    const std::string near = did_you_mean(word, known);
    return "unknown command \"" + word + "\"" +
           (near.empty() ? "" : "; did you mean \"" + near + "\"?");
  }
  return "";
}

int run_action(CommandContext& context) {
  try {
    const Result<int> code = context.action();
    if (!code) return report(code.error(), context.err);
    context.out.flush();
    return *code;
  } catch (const ErrorException& e) {
    return report(e.error(), context.err);
  } catch (const std::bad_alloc&) {
    return report(environment_error("out of memory"), context.err);
  }
}

}  // namespace

int exit_code(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid_input:
    case ErrorKind::unsupported: return kExitInvalidInput;
    case ErrorKind::environment:
    case ErrorKind::overloaded: return kExitEnvironment;
    case ErrorKind::budget: return kExitBudget;
    case ErrorKind::cancelled: return kExitInterrupted;
    case ErrorKind::failed:
    case ErrorKind::timeout: return kExitRunFailed;
  }
  return kExitRunFailed;
}

int run_program(int argc, const char* const* argv, std::istream& in, std::ostream& out,
                std::ostream& err) {
  CLI::App app("Swarm: a multi-agent orchestrator with the inference engine built in.", "swarm");
  app.set_version_flag("--version", "swarm " SWARM_VERSION);
  app.require_subcommand(1);
  app.footer(kExitCodesHelp);
  app.get_formatter()->column_width(34);
  LogLevel level = LogLevel::warn;
  app.add_option("--log-level", level, "what goes to stderr: debug, info, warn, error or off")
      ->transform(CLI::CheckedTransformer(kLogLevels, CLI::ignore_case).description(""))
      ->type_name("LEVEL");

  const SteadyClock clock;
  CommandContext context{.in = in, .out = out, .err = err, .clock = clock};
  if (argc > 0) context.program = argv[0];
  register_all(app, context);
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {  // --help and --version
    return app.exit(e, out, err);
  } catch (const CLI::ParseError& e) {
    const std::string unknown = unknown_command(app, argc, argv);
    if (unknown.empty()) {
      app.exit(e, err, err);
    } else {
      err << "swarm: " << unknown << "\nRun with --help for the list of commands.\n";
    }
    return kExitInvalidInput;
  }
  Log log(err, level);
  context.log = &log;
  return run_action(context);
}

Result<std::string> read_text(const std::string& path, std::istream& in) {
  if (path == "-") return std::string(std::istreambuf_iterator<char>(in), {});
  try {  // reading a directory throws inside the stream buffer
    std::ifstream file(path, std::ios::binary);
    if (file) return std::string(std::istreambuf_iterator<char>(file), {});
  } catch (const std::ios_base::failure&) {
  }
  return environment_error("cannot read file \"" + path + "\"");
}

}  // namespace swarm::cli
