#include <doctest/doctest.h>

#include <sys/resource.h>

#include <csignal>
#include <string>
#include <vector>

#include "orchestrator/run/journal.h"
#include "orchestrator/run/store.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::run;

namespace {

std::string write_three(const test::TempDir& dir, Sync sync = Sync::async) {
  const std::string path = (dir.path() / "journal.jsonl").string();
  const ManualClock clock;
  auto journal = Journal::create(path, sync, clock).value();
  journal->append("run.start", {{"name", "x"}});
  journal->append("text", {{"t", "line\nbreak \"quote\" \xff"}});
  journal->append("run.end", {{"outcome", "complete"}, {"answer", 5}});
  return path;
}

}  // namespace

TEST_CASE("journal: lines are ordered, dated, summed and read back") {
  for (Sync sync : {Sync::async, Sync::step, Sync::off}) {
    const test::TempDir dir;
    const std::string path = write_three(dir, sync);
    const JournalContent content = read_journal(path).value();
    REQUIRE(content.events.size() == 3);
    CHECK(!content.torn);
    CHECK(content.events[0].type == "run.start");
    CHECK(content.events[2].seq == 2);
    CHECK(content.events[0].ts == "1970-01-01T00:00:00.000Z");
    CHECK(content.events[1].data["t"] == "line\nbreak \"quote\" \xef\xbf\xbd");
  }
}

TEST_CASE("journal: async lines are in the file before append returns") {
  const test::TempDir dir;
  const std::string path = (dir.path() / "j").string();
  const ManualClock clock;
  auto journal = Journal::create(path, Sync::async, clock).value();
  for (int i = 0; i < 5; ++i) {
    const std::string line = journal->append("tick", {{"i", i}});
    CHECK(test::read_file(path).ends_with(line + "\n"));
  }
}

TEST_CASE("journal: every changed byte is noticed, and the line is named") {
  const test::TempDir dir;
  const std::string path = write_three(dir);
  const std::string text = test::read_file(path);
  const size_t first_line = text.find('\n');
  for (size_t i = 0; i < text.size() - 1; ++i) {
    std::string changed = text;
    changed[i] = static_cast<char>(changed[i] ^ 1);
    test::write_file(path, changed);
    const auto content = read_journal(path);
    CAPTURE(i);
    REQUIRE(content.has_error());
    if (i < first_line) CHECK(content.error().location.line == 1);
  }
}

TEST_CASE("journal: lost and swapped lines are noticed") {
  const test::TempDir dir;
  const std::string path = write_three(dir);
  const std::string text = test::read_file(path);
  const size_t a = text.find('\n') + 1, b = text.find('\n', a) + 1;
  const std::string one = text.substr(0, a), two = text.substr(a, b - a), three = text.substr(b);
  for (const std::string& bad : {one + three, two + three, two + one + three, one + one}) {
    test::write_file(path, bad);
    CHECK(read_journal(path).has_error());
  }
  test::write_file(path, one + two);  // a run that was killed
  CHECK(read_journal(path).value().events.size() == 2);
}

TEST_CASE("journal: a line that was cut off while it was written does not spoil the others") {
  const test::TempDir dir;
  const std::string path = write_three(dir);
  const std::string text = test::read_file(path);
  const size_t last = text.rfind('\n', text.size() - 2) + 1;
  for (size_t size = last + 1; size < text.size(); ++size) {
    test::write_file(path, text.substr(0, size));
    const JournalContent content = read_journal(path).value();
    CHECK(content.events.size() == 2);
    CHECK(content.torn);
  }
}

TEST_CASE("journal: after a write that failed nothing follows, what was written stays readable") {
  const test::TempDir dir;
  const std::string path = (dir.path() / "journal.jsonl").string();
  const ManualClock clock;
  rlimit before{};
  REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  {
    auto journal = Journal::create(path, Sync::async, clock).value();
    journal->append("run.start", {{"name", "x"}});
    rlimit small = before;
    small.rlim_cur = test::read_file(path).size() + 40;  // in the middle of the next line
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &small) == 0);
    CHECK_THROWS_AS(journal->append("text", {{"t", "cut"}}), ErrorException);
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);  // there is room again
    CHECK_THROWS_AS(journal->append("run.end", Json::object()), ErrorException);
  }
  std::signal(SIGXFSZ, old_handler);
  const JournalContent content = read_journal(path).value();
  CHECK(content.torn);
  REQUIRE(content.events.size() == 1);
  CHECK(content.events[0].type == "run.start");
}

TEST_CASE("journal: a run is never written over") {
  const test::TempDir dir;
  const std::string path = write_three(dir);
  const ManualClock clock;
  const auto again = Journal::create(path, Sync::async, clock);
  REQUIRE(again.has_error());
  CHECK(again.error().kind == ErrorKind::environment);
}

TEST_CASE("journal: times are UTC with milliseconds") {
  using namespace std::chrono;
  CHECK(format_time(system_clock::time_point(milliseconds(1795232671007))) ==
        "2026-11-21T03:44:31.007Z");
}

TEST_CASE("store: runs are listed with their outcome, those without a time last") {
  const test::TempDir dir;
  CHECK(list_runs((dir.path() / "none").string()).empty());
  const ManualClock clock;
  for (const char* id : {"b", "a", "c"}) {
    std::filesystem::create_directories(dir.path() / id);
    auto journal =
        Journal::create((dir.path() / id / "journal.jsonl").string(), Sync::async, clock).value();
    journal->append("run.start", {{"name", "desk"}});
    if (std::string(id) != "b")
      journal->append("run.end", {{"outcome", "complete"}, {"answer", id}, {"rounds", 3}});
  }
  test::write_file(dir.path() / "c" / "journal.jsonl", "nonsense\n");
  const auto runs = list_runs(dir.path().string());
  REQUIRE(runs.size() == 3);
  CHECK(runs[0].id == "a");
  CHECK(runs[0].outcome == "complete");
  CHECK(runs[0].rounds == 3);
  CHECK(runs[1].outcome == "unfinished");
  CHECK(runs[2].outcome == "damaged");
  CHECK(open_run(dir.path().string(), "a").value().summary.answer == "a");
  CHECK(open_run("/", (dir.path() / "a").string()).value().summary.name == "desk");
  CHECK(open_run(dir.path().string(), "zz").has_error());
}
