#include <poll.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <cstring>
#include <optional>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/json.h"
#include "engine/base/text_file.h"
#include "engine/base/utf8.h"
#include "orchestrator/cli/checks.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/config/yaml.h"

namespace swarm::cli {
namespace {

// Word and number of each level.
std::vector<std::pair<std::string, std::string>> log_levels() {
  std::vector<std::pair<std::string, std::string>> out;
  const auto add = [&](const char* word, LogLevel level) {
    out.emplace_back(word, std::to_string(static_cast<int>(level)));
  };
  add("debug", LogLevel::debug);
  add("info", LogLevel::info);
  add("warn", LogLevel::warn);
  add("error", LogLevel::error);
  add("off", LogLevel::off);
  return out;
}

constexpr const char* kExitCodesHelp =
    "Exit codes: 0 ok, 1 run failed, 2 invalid input, 3 environment (model, device, server or file "
    "missing), 4 budget, 5 gate pending, 130 interrupted.";

int report(const Error& error, CommandContext& context) {
  return report_errors(std::span(&error, 1), "", context);
}

// CLI11 only says that a subcommand is missing; people want to know which word was wrong, and which
// words there are. "" when something else is wrong.
std::string command_problem(const CLI::App& app, int argc, const char* const* argv) {
  const auto is_command = [](const CLI::App* sub) {   // groups of options are nameless subcommands
    return !sub->get_name().empty();
  };
  for (const CLI::App* chosen : app.get_subcommands())
    if (is_command(chosen)) return command_problem(*chosen, argc, argv);
  std::vector<std::string> known;
  for (const CLI::App* sub : app.get_subcommands(is_command)) known.push_back(sub->get_name());
  if (known.empty()) return "";
  std::string list;
  for (const std::string& name : known) list += (list.empty() ? "" : ", ") + name;
  const std::string after = app.get_parent() == nullptr ? "" : app.get_name();
  bool seen = after.empty();
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    if (word == "--log-level") ++i;
    if (word.starts_with("-")) continue;
    if (!seen) {
      seen = word == after;
      continue;
    }
    const std::string near = did_you_mean(word, known);
    return "unknown command \"" + word + "\"" +
           (near.empty() ? "; commands: " + list : "; did you mean \"" + near + "\"?");
  }
  return "expected a command: " + list;
}

// Everything after this may take arguments for UTF-8: journals and JSON are made of them.
std::optional<Error> not_utf8(int argc, const char* const* argv) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const size_t bad = utf8_valid_prefix(argument);
    if (bad < argument.size())
      return invalid_input("argument " + std::to_string(i) + ": expected UTF-8 text, found " +
                           config::byte_text(argument[bad]) + " at position " +
                           std::to_string(bad + 1));
  }
  return std::nullopt;
}

// Whether nobody reads the standard output any more.
bool reader_left() {
  pollfd output{.fd = STDOUT_FILENO, .events = POLLOUT, .revents = 0};
  return ::poll(&output, 1, 0) == 1 && (output.revents & POLLERR) != 0;
}

int run_action(CommandContext& context) {
  try {
    const Result<int> code = context.action();
    if (!code) return report(code.error(), context);
    errno = 0;
    context.out.flush();
    const int cause = errno;   // 0 when an earlier write failed: the stream does not keep why
    // A reader that left early (| head) chose to; anything else lost results.
    if (!context.out && !reader_left())
      return report(environment_error("cannot write the output" +
                                      (cause == 0 ? "" : std::string(": ") + std::strerror(cause))),
                    context);
    return *code;
  } catch (const ErrorException& e) {
    return report(e.error(), context);
  } catch (const std::bad_alloc&) {
    return report(environment_error("out of memory"), context);
  } catch (const std::exception& e) {
    return report(failed(e.what()), context);
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

int report_errors(std::span<const Error> errors, const std::string& text,
                  CommandContext& context) {
  SWARM_CHECK(!errors.empty());
  // Input that is wrong stays wrong, whatever else is missing.
  const auto decides = std::find_if(errors.begin(), errors.end(), [](const Error& error) {
    return error.kind != ErrorKind::environment;
  });
  const int code = exit_code(decides == errors.end() ? ErrorKind::environment : decides->kind);
  if (text.empty())
    for (const Error& error : errors) context.err << visible(error.to_text()) << "\n";
  context.err << visible(text);
  if (!context.json) return code;
  Json list = Json::array();
  for (const Error& error : errors) {
    const SourceLocation& at = error.location;
    list.push_back({{"file", at.file.empty() ? Json(nullptr) : Json(at.file)},
                    {"line", at.line > 0 ? Json(at.line) : Json(nullptr)},
                    {"column", at.line > 0 && at.column > 0 ? Json(at.column) : Json(nullptr)},
                    {"message", error.message},
                    {"kind", to_string(error.kind)}});
  }
  context.out << dump_json({{"errors", list}, {"exit_code", code}}) << "\n" << std::flush;
  return code;
}

int run_program(int argc, const char* const* argv, std::istream& in, std::ostream& out,
                std::ostream& err, const engine::kernels::Accelerator* accelerator) {
  CLI::App app("Swarm: a multi-agent orchestrator with the inference engine built in.", "swarm");
  app.set_version_flag("--version", "swarm " SWARM_VERSION);
  app.require_subcommand(1);
  app.footer(kExitCodesHelp);
  app.get_formatter()->column_width(34);
  LogLevel level = LogLevel::warn;
  expect_one_of(app.add_option("--log-level", level,
                               "what goes to stderr: debug, info, warn, error or off"),
                log_levels())
      ->type_name("LEVEL");

  const SteadyClock clock;
  CommandContext context{.in = in, .out = out, .err = err, .clock = clock};
  context.accelerator = accelerator;
  if (argc > 0) context.program = argv[0];
  register_all(app, context);
  const bool json = std::find(argv, argv + argc, std::string_view("--json")) != argv + argc;
  if (const std::optional<Error> wrong = not_utf8(argc, argv)) {
    context.json = json;
    return report(*wrong, context);
  }
  try {
    app.parse(argc, argv);
  } catch (const CLI::Success& e) {  // --help and --version
    return app.exit(e, out, err);
  } catch (const CLI::ParseError& e) {
    const std::string problem = command_problem(app, argc, argv);
    const Error error = invalid_input(problem.empty() ? e.what() : problem);
    context.json = json;
    return report_errors(std::span(&error, 1),
                         error.to_text() + "\nRun with --help for more information.\n", context);
  }
  Log log(err, level);
  context.log = &log;
  return run_action(context);
}

Result<std::string> read_text(const std::string& path, std::istream& in) {
  return path == "-" ? read_text_stream(in, "stdin") : read_text_file(path);
}

}  // namespace swarm::cli
