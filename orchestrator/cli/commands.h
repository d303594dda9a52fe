// orchestrator/cli/commands.h — How a command joins the program: one file per command.
// orchestrator/cli/command_NAME.cpp defines
//     namespace swarm::cli { void register_NAME(CLI::App& app, CommandContext& context); }
// which adds one subcommand and, in its callback, stores what to do in context.action. The build
// finds the file by its name. An action runs on the main thread after parsing; it writes results to
// context.out and everything else to context.err or the log. It returns an exit code, or an Error
// that run_program() reports and turns into an exit code; it may also throw ErrorException.
#pragma once

#include <functional>
#include <istream>
#include <memory>
#include <ostream>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/base/log.h"

namespace CLI {
class App;
}
namespace swarm::engine::kernels {
class Accelerator;
}

namespace swarm::cli {

// The exit codes of the program: 0 ok, 1 run failed, 2 invalid input, 3 environment (model, device,
// server missing), 4 budget, 5 gate pending, 130 interrupted.
inline constexpr int kExitOk = 0;
inline constexpr int kExitRunFailed = 1;
inline constexpr int kExitInvalidInput = 2;
inline constexpr int kExitEnvironment = 3;
inline constexpr int kExitBudget = 4;
inline constexpr int kExitGatePending = 5;
inline constexpr int kExitInterrupted = 130;
int exit_code(ErrorKind kind);

struct CommandContext {
  std::istream& in;
  std::ostream& out;               // results only; one JSON object (or one per line) with --json
  std::ostream& err;               // progress and messages
  const Clock& clock;
  Log* log = nullptr;              // set before the action runs; writes to err
  const engine::kernels::Accelerator* accelerator = nullptr;  // of this build; null = the CPU alone
  std::string program = {};        // argv[0], to find files beside the binary
  bool json = false;               // set_action() copies the command's --json here
  std::function<Result<int>()> action = {};  // set by the chosen command's callback
};

// The usual shape of a command: options live in a struct that the callback keeps alive.
//   auto options = std::make_shared<Options>();
//   sub->add_option("--model", options->model, "...")->required();
//   set_action(*sub, context, options, run_model);   // Result<int> run_model(const Options&, ...)
template <class App, class Options, class Function>
void set_action(App& sub, CommandContext& context, std::shared_ptr<Options> options,
                Function function) {
  sub.callback([&context, options = std::move(options), function] {
    context.action = [&context, options, function]() -> Result<int> {
      if constexpr (requires { context.json = options->json; }) context.json = options->json;
      return function(*options, context);
    };
  });
}

// Adds every command of the build, in alphabetical order. Generated.
void register_all(CLI::App& app, CommandContext& context);

// Parses, runs, reports; returns the exit code. Everything of main() but the process itself.
int run_program(int argc, const char* const* argv, std::istream& in, std::ostream& out,
                std::ostream& err,
                const engine::kernels::Accelerator* accelerator = nullptr);

// Text on context.err; with --json also one object on context.out, unknown places null:
//   {"errors":[{"file":..,"line":..,"column":..,"message":..,"kind":..}],"exit_code":2}
// Returns the exit code. text: what people read, "" = made from the errors.
int report_errors(std::span<const Error> errors, const std::string& text, CommandContext& context);

// Whole text of a file, or of `in` when path is "-". Errors: engine/base/text_file.h.
Result<std::string> read_text(const std::string& path, std::istream& in);

}  // namespace swarm::cli
