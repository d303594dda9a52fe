// tests/acceptance/journalled_run.h — One `swarm run` of the real program, and the journal it left.
#pragma once

#include <doctest/doctest.h>

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/json.h"
#include "orchestrator/run/journal.h"
#include "tests/support/process.h"
#include "tests/support/support.h"

namespace swarm::test {

struct JournalledRun {
  TempDir dir;
  Finished finished;
  std::vector<run::Event> events;

  void start(const std::string& file, const std::vector<std::string>& more) {
    std::vector<std::string> command{SWARM_PROGRAM, "run", file, "--run-id", "r", "--set",
                                     "journal.dir=" + dir.path().string()};
    command.insert(command.end(), more.begin(), more.end());
    ProcessOptions options;
    options.limit = std::chrono::seconds(120);
    finished = run_process(command, options);
    CHECK(!finished.timed_out);
    auto content = run::read_journal((dir.path() / "r/journal.jsonl").string());
    REQUIRE(content.has_value());
    CHECK(!content->torn);
    events = std::move(content->events);
  }

  std::vector<Json> of(const std::string& type) const {
    std::vector<Json> out;
    for (const run::Event& event : events)
      if (event.type == type) out.push_back(event.data);
    return out;
  }
};

}  // namespace swarm::test
