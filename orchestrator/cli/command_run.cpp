// swarm run — a swarm from a file to its answer. Results on stdout, everything else on stderr.
// Ctrl-C cancels and lets the journal and the servers end; a second one ends the process.
#include <sys/ioctl.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdlib>
#include <iomanip>
#include <iostream>
#include <streambuf>

#include "engine/base/units.h"
#include "orchestrator/cli/ask.h"
#include "orchestrator/cli/checks.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/elicit.h"
#include "orchestrator/cli/files.h"
#include "orchestrator/cli/interrupt.h"
#include "orchestrator/cli/live_view.h"
#include "orchestrator/cli/text.h"
#include "orchestrator/orchestrator.h"

namespace swarm::cli {
namespace {

namespace net = boost::asio;

struct RunOptions {
  FileOptions file;
  std::string id;
  uint64_t seed = 0;
  bool dry_run = false;
  bool json = false;
  bool quiet = false;
  bool yes = false;
};

void print_plan(const run::Plan& plan, std::ostream& out) {
  out << "swarm " << plan.name << "\n";
  for (const run::Plan::Task& task : plan.tasks)
    out << "  task " << task.name << " -> " << task.target << "  after "
        << dump_json(Json(task.after)) << "\n";
  for (const run::Plan::Agent& agent : plan.agents)
    out << "  agent " << agent.name << "  model " << agent.model << "  tools "
        << dump_json(Json(agent.tools)) << "\n";
  for (const run::Plan::Server& server : plan.servers)
    out << "  server " << server.name << "  " << dump_json(Json(server.command)) << "\n";
}

// "complete", "run cancelled", "run failed: server \"shop\": ...", "run failed: timeout: ...".
std::string headline(const run::RunResult& result) {
  if (result.ok) return result.outcome;
  if (result.kind == ErrorKind::cancelled) return "run cancelled";
  return "run failed: " + (result.outcome == "failed" ? "" : result.outcome + ": ") + result.error;
}

// An answer as it is; on a terminal it never moves the cursor.
std::string on_screen(const Json& value, const std::ostream& out) {
  const std::string text = as_text(value);
  return &out == &std::cout && ::isatty(STDOUT_FILENO) == 1 ? visible(text) : text;
}

void print_summary(const run::RunResult& result, std::ostream& out, std::ostream& err) {
  const run::Totals& t = result.totals;
  err << visible(headline(result)) << "\n  "
      << (result.rounds > 0 ? counted(result.rounds, "round") + ", " : "")
      << counted(t.model_calls, "model call") << ", " << counted(t.tool_calls, "tool call") << ", "
      << format_duration(result.wall)
      << (result.degraded ? ", degraded: an agent failed or was cut off on the way" : "") << "\n"
      << "  prompt tokens: " << t.prompt_tokens << " submitted, " << t.cached_tokens << " cached, "
      << t.computed_tokens << " computed; output: " << t.output_tokens << " (" << t.forced_tokens
      << " forced)\n"
      << "  journal: " << result.directory << "/journal.jsonl\n";
  for (const auto& [server, why] : result.servers_missing)
    err << "  without the tools of server " << server << ": " << visible(why) << "\n";
  if (!result.ok && !result.best.is_null())
    err << "  best so far: " << visible(as_text(result.best)) << "\n";
  if (result.ok && result.outputs.is_object() && !result.outputs.empty()) {
    for (const auto& [name, value] : result.outputs.items())
      out << name << ": " << on_screen(value, out) << "\n";
  } else if (result.ok) {
    out << on_screen(result.answer, out) << "\n";
  }
}

ScreenSize screen_size() {
  winsize size{};
  if (::ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return {};
  return {.columns = size.ws_col, .rows = size.ws_row};
}

// Where the events of the run go.
run::Listener make_listener(const RunOptions& options, CommandContext& context, LiveView* view) {
  if (options.json)
    return [&context](std::string_view, const Json&, const std::string& line) {
      context.out << line << "\n" << std::flush;
    };
  if (view == nullptr) return {};
  return [view](std::string_view type, const Json& data, const std::string&) {
    view->event(type, data);
  };
}

// What the log writes, also on other threads, as lines of the view: the block is redrawn below.
class LinesForView final : public std::streambuf {
 public:
  // Both outlive it.
  LinesForView(net::io_context& io, LiveView& view) : io_(io), view_(view) {}

 private:
  int_type overflow(int_type c) override {
    if (c == traits_type::eof()) return traits_type::not_eof(c);
    const char text = traits_type::to_char_type(c);
    xsputn(&text, 1);
    return c;
  }
  std::streamsize xsputn(const char* text, std::streamsize count) override {
    // The Log holds its lock: one line at a time.
    pending_.append(text, static_cast<size_t>(count));
    for (size_t end; (end = pending_.find('\n')) != std::string::npos; pending_.erase(0, end + 1))
      net::post(io_, [&view = view_, line = pending_.substr(0, end)] { view.note(line); });
    return count;
  }

  net::io_context& io_;
  LiveView& view_;
  std::string pending_;
};

LogLevel level_of(const Log& log) {
  for (const LogLevel level : {LogLevel::debug, LogLevel::info, LogLevel::warn, LogLevel::error})
    if (log.enabled(level)) return level;
  return LogLevel::off;
}

// Runs on the calling thread until the run has ended. view: may be null.
run::RunResult drive(const config::Config& config, run::RunSettings settings,
                     CommandContext& context, LiveView* view) {
  net::io_context io(1);
  net::cancellation_signal cancel;
  net::signal_set signals(io);
  for (const int signal : interrupt_signals()) signals.add(signal);
  bool asked = false;
  std::function<void()> arm = [&] {
    signals.async_wait([&](const boost::system::error_code& error, int) {
      if (error) return;
      // The journal is on the page cache line by line: nothing is lost by leaving now.
      if (asked) {
        if (view != nullptr) view->finish();
        std::_Exit(kExitInterrupted);
      }
      asked = true;
      if (view != nullptr) view->cancelling();
      cancel.emit(net::cancellation_type::all);
      arm();
    });
  };
  arm();
  std::optional<run::RunResult> result;
  std::exception_ptr failure;
  std::optional<LinesForView> lines;
  if (view != nullptr) lines.emplace(io, *view);
  std::ostream lines_out(lines ? &*lines : nullptr);
  Log to_view(lines_out, level_of(*context.log));
  Log& log = view != nullptr ? to_view : *context.log;
  net::co_spawn(io, run::run_swarm(config, std::move(settings), context.clock, log),
                net::bind_cancellation_slot(
                    cancel.slot(), [&](const std::exception_ptr& error, run::RunResult value) {
                      failure = error;
                      if (!error) result = std::move(value);
                      signals.cancel();
                    }));
  io.run();
  if (failure) std::rethrow_exception(failure);
  return std::move(*result);
}

// A person is there: for consent, and for what servers want to know.
void sit_down(run::RunSettings& settings, LiveView& view) {
  // shared: by both who ask.
  auto desk = std::make_shared<Desk>([&view](const std::string& line) { view.note(line); },
                                     [&view] { view.answered(); });
  settings.ask = make_ask(desk);
  settings.elicit = make_elicit(std::move(desk));
}

Result<int> run_run(const RunOptions& options, CommandContext& context) {
  const LoadedFile loaded = load_swarm(options.file, /*need_inputs=*/true, context);
  if (!loaded.config) return loaded.code;
  const config::Config& config = *loaded.config;
  if (options.dry_run) {
    const run::Plan plan = run::plan_of(config);
    if (options.json)
      context.out << dump_json(to_json(plan)) << "\n";
    else
      print_plan(plan, context.out);
    return kExitOk;
  }
  std::optional<LiveView> view;
  if (!options.json && !options.quiet)
    view.emplace(context.err, context.clock,
                 ::isatty(STDERR_FILENO) == 1 ? screen_size : std::function<ScreenSize()>());
  run::RunSettings settings = run::real_settings(context.accelerator);
  settings.id = options.id;
  settings.seed = options.seed;
  settings.version = SWARM_VERSION;
  settings.listener = make_listener(options, context, view ? &*view : nullptr);
  if (view)
    settings.on_progress = [&view](const run::Speaker& speaker,
                                   const agents::Progress& progress) {
      view->progress(speaker, progress);
    };
  if (options.yes) settings.unattended = config::Unattended::allow;
  // A person is asked only where one sees the question and can answer.
  if (view && !options.yes && ::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1)
    sit_down(settings, *view);
  const run::RunResult result =
      drive(config, std::move(settings), context, view ? &*view : nullptr);
  view.reset();
  if (options.json) {
    context.out << dump_json(to_json(result)) << "\n";
  } else {
    print_summary(result, context.out, context.err);
  }
  return result.ok ? kExitOk : exit_code(result.kind);
}

}  // namespace

void register_run(CLI::App& app, CommandContext& context) {
  CLI::App* sub = app.add_subcommand("run", "Run a swarm file");
  auto options = std::make_shared<RunOptions>();
  add_file_options(*sub, options->file);
  sub->add_option("--run-id", options->id, "name of the run; unset = made from the time")
      ->type_name("ID");
  expect_seed(sub->add_option("--seed", options->seed, "of sampling and of random topologies"))
      ->capture_default_str();
  sub->add_flag("--dry-run", options->dry_run, "print the plan; start nothing");
  sub->add_flag("--json", options->json, "events as JSON lines, the result last");
  sub->add_flag("--yes", options->yes, "consent to every call that the policy would ask about");
  sub->add_flag("--quiet", options->quiet, "no progress");
  set_action(*sub, context, options, run_run);
}

}  // namespace swarm::cli
