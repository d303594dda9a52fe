// swarm runs — what was run, from the journals.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>

#include "orchestrator/cli/checks.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/text.h"
#include "orchestrator/run/store.h"

namespace swarm::cli {
namespace {

struct RunsOptions {
  std::string dir = ".swarm/runs";
  std::string run;
  bool json = false;
};

std::string answer_text(const Json& answer) { return answer.is_null() ? "-" : as_text(answer); }

constexpr size_t kShownBytesMax = 200;   // of one text of models, tools and servers

std::string cell(std::string text) { return on_one_line(std::move(text), kShownBytesMax); }

Result<int> run_list(const RunsOptions& options, CommandContext& context) {
  std::error_code ignored;
  if (!std::filesystem::is_directory(options.dir, ignored))
    return environment_error("no runs: there is no directory \"" + options.dir + "\"");
  for (const run::RunSummary& summary : run::list_runs(options.dir)) {
    if (options.json) {
      context.out << dump_json(to_json(summary)) << "\n";
    } else {
      const std::string started = summary.started.empty() ? "-" : summary.started;
      context.out << visible(cell(summary.id) + "  " + started + "  " +
                             cell(summary.name) + "  " + summary.outcome + "  " +
                             cell(answer_text(summary.answer)))
                  << "\n";
    }
  }
  return kExitOk;
}

// What people want of an event, in this order; the rest (scores, seeds, usage) is for --json.
constexpr const char* kShownKeys[] = {
    "task",   "target",    "round",   "server",     "agent",     "turn",       "call",
    "call_id", "tool",     "name",    "version",    "protocol",  "state",      "reason",
    "why",    "origin",    "kind",    "inputs",     "from",      "to",         "goal",
    "arguments", "allowed", "rule",   "by",         "reasoning", "content",    "tool_calls",
    "malformed_calls", "finish", "status", "is_complete", "next_goal", "answer_from", "public",
    "private", "answer",   "query",   "key",        "text",      "is_error",   "tools",
    "ok",     "outcome",   "output",  "best",       "error"};

// Texts keep their quotes: their line ends are escaped, and they end where they end.
std::string value_text(const Json& value) {
  if (!value.is_string()) return shortened(dump_json(value), kShownBytesMax);
  return dump_json(Json(shortened(value.get<std::string>(), kShownBytesMax)));
}

// One line per event for people.
std::string line_of(const run::Event& event) {
  std::string out = (event.ts.size() > 11 ? event.ts.substr(11, 12) : event.ts) + "  " + event.type;
  out.resize(std::max(out.size(), size_t{32}), ' ');
  for (const char* key : kShownKeys) {
    const auto found = event.data.find(key);
    if (found == event.data.end() || found->is_null() || *found == "" || *found == Json::array())
      continue;
    out += " " + std::string(key) + "=" + value_text(*found);
  }
  if (event.type == "topology")
    for (const Json& edge : event.data.at("edges"))
      out += " " + as_text(edge.at("from")) + "->" + as_text(edge.at("to"));
  return out;
}

// " model_calls=15 tool_calls=4 ...", in the order of the journal.
std::string usage_text(const Json& usage) {
  std::string out;
  for (const auto& [key, value] : usage.items()) out += " " + key + "=" + dump_json(value);
  return out;
}

Result<int> run_show(const RunsOptions& options, CommandContext& context) {
  SWARM_TRY(const run::StoredRun stored, run::open_run(options.dir, options.run));
  if (options.json) {
    Json events = Json::array();
    for (const run::Event& event : stored.journal.events)
      events.push_back(
          {{"seq", event.seq}, {"ts", event.ts}, {"type", event.type}, {"data", event.data}});
    Json out = to_json(stored.summary);
    out["torn"] = stored.journal.torn;
    out["events"] = events;
    context.out << dump_json(out) << "\n";
    return kExitOk;
  }
  for (const run::Event& event : stored.journal.events)
    context.out << visible(line_of(event)) << "\n";
  context.out << visible(stored.summary.id + ": " + stored.summary.outcome + ", answer " +
                         answer_text(stored.summary.answer))
              << "\n";
  const std::vector<run::Event>& events = stored.journal.events;
  if (!events.empty() && events.back().type == "run.end")
    context.out << "usage:"
                << visible(usage_text(events.back().data.value("usage", Json::object()))) << "\n";
  return kExitOk;
}

}  // namespace

void register_runs(CLI::App& app, CommandContext& context) {
  CLI::App* sub = app.add_subcommand("runs", "Look at past runs");
  sub->require_subcommand(1);
  auto options = std::make_shared<RunsOptions>();
  const auto common = [&](CLI::App& command) {
    command.add_option("--dir", options->dir, "where runs are kept")->capture_default_str();
    command.add_flag("--json", options->json, "JSON instead of text");
  };
  CLI::App* list = sub->add_subcommand("list", "All runs, oldest first");
  common(*list);
  set_action(*list, context, options, run_list);
  CLI::App* show = sub->add_subcommand("show", "The events of one run");
  show->add_option("RUN", options->run, "id or directory")->required();
  common(*show);
  set_action(*show, context, options, run_show);
}

}  // namespace swarm::cli
