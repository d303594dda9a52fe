#include "orchestrator/run/store.h"

#include <algorithm>
#include <filesystem>
#include <utility>

namespace swarm::run {
namespace {

namespace fs = std::filesystem;

RunSummary summarise(const std::string& directory, const JournalContent& content) {
  RunSummary out;
  out.directory = directory;
  out.id = fs::path(directory).filename().string();
  out.outcome = "unfinished";
  for (const Event& event : content.events) {
    if (event.type == "run.start") {
      out.started = event.ts;
      out.name = event.data.value("name", "");
    } else if (event.type == "run.end") {
      out.outcome = event.data.value("outcome", "");
      out.answer = event.data.value("answer", Json(nullptr));
      out.rounds = event.data.value("rounds", int64_t{0});
      out.wall_ms = event.data.value("wall_ms", 0.0);
    }
  }
  return out;
}

}  // namespace

std::vector<RunSummary> list_runs(const std::string& dir) {
  std::vector<std::string> directories;
  std::error_code ignored;
  for (fs::directory_iterator at(dir, ignored), end; at != end; at.increment(ignored))
    if (fs::exists(at->path() / "journal.jsonl", ignored))
      directories.push_back(at->path().string());
  std::sort(directories.begin(), directories.end());
  std::vector<RunSummary> out;
  for (const std::string& directory : directories) {
    const Result<JournalContent> content = read_journal(directory + "/journal.jsonl");
    if (content) {
      out.push_back(summarise(directory, *content));
      continue;
    }
    RunSummary damaged;
    damaged.id = fs::path(directory).filename().string();
    damaged.directory = directory;
    damaged.outcome = "damaged";
    out.push_back(damaged);
  }
  // Times are written with the same width: they sort as text. By name where they are the same.
  std::stable_sort(out.begin(), out.end(), [](const RunSummary& a, const RunSummary& b) {
    return std::make_pair(a.started.empty(), a.started) <
           std::make_pair(b.started.empty(), b.started);
  });
  return out;
}

std::optional<std::string> find_run(const std::string& dir, const std::string& run) {
  std::error_code ignored;
  for (const fs::path& directory : {fs::path(dir) / run, fs::path(run)})
    if (fs::exists(directory / "journal.jsonl", ignored)) return directory.string();
  return std::nullopt;
}

Result<StoredRun> open_run(const std::string& dir, const std::string& run) {
  const std::optional<std::string> directory = find_run(dir, run);
  if (!directory) {
    std::vector<std::string> ids;
    for (const RunSummary& known : list_runs(dir)) ids.push_back(known.id);
    const std::string near = did_you_mean(run, ids);
    return invalid_input("no run \"" + run + "\" in \"" + dir + "\"" +
                         (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
  }
  StoredRun out;
  SWARM_TRY(out.journal, read_journal(*directory + "/journal.jsonl"));
  out.summary = summarise(*directory, out.journal);
  return out;
}

Json to_json(const RunSummary& summary) {
  return {{"run", summary.id},       {"started", summary.started}, {"name", summary.name},
          {"outcome", summary.outcome}, {"answer", summary.answer},
          {"rounds", summary.rounds},   {"wall_ms", summary.wall_ms},
          {"directory", summary.directory}};
}

}  // namespace swarm::run
