// orchestrator/run/store.h — Finished and unfinished runs on disk: <dir>/<id>/journal.jsonl.
// Reads only.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/json.h"
#include "orchestrator/run/journal.h"

namespace swarm::run {

struct RunSummary {
  std::string id;
  std::string directory;
  std::string started;         // time of run.start; empty when it is not known
  std::string name;            // of the swarm
  std::string outcome;         // "unfinished" without run.end, "damaged" when it cannot be read
  Json answer;
  int64_t rounds = 0;
  double wall_ms = 0;
};

// Oldest first; those without a time of their start (damaged, or cut off before) last. A missing
// directory holds no runs.
std::vector<RunSummary> list_runs(const std::string& dir);

// The directory of a run that is named by its id in `dir` or by its directory; nullopt: there is
// none.
std::optional<std::string> find_run(const std::string& dir, const std::string& run);

// The journal of a run that is named by its id in `dir` or by its directory.
struct StoredRun {
  RunSummary summary;
  JournalContent journal;
};
Result<StoredRun> open_run(const std::string& dir, const std::string& run);

Json to_json(const RunSummary& summary);

}  // namespace swarm::run
