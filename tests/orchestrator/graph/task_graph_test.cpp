#include <doctest/doctest.h>

#include <algorithm>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/rng.h"
#include "orchestrator/graph/task_graph.h"

using namespace swarm;
using namespace swarm::graph;

using Indices = std::vector<int32_t>;

TEST_CASE("graph: a diamond runs its middle together and joins once both are done") {
  TaskGraph graph({{}, {{0}}, {{0}}, {{1, 2}}});
  CHECK(graph.ready() == Indices{0});
  graph.start(0);
  CHECK(graph.ready().empty());
  graph.finish(0, true);
  CHECK(graph.ready() == Indices{1, 2});
  graph.start(1);
  graph.start(2);
  graph.finish(2, true);
  CHECK(graph.ready().empty());
  graph.finish(1, true);
  CHECK(graph.ready() == Indices{3});
  graph.start(3);
  graph.finish(3, true);
  CHECK(graph.done());
}

TEST_CASE("graph: a failure skips what needs it, all the way down") {
  TaskGraph graph({{}, {{0}}, {{1}}, {}});
  graph.start(0);
  graph.finish(0, false);
  CHECK(graph.state(1) == State::skipped);
  CHECK(graph.state(2) == State::skipped);
  CHECK(graph.ready() == Indices{3});
  CHECK(!graph.done());
}

TEST_CASE("graph: any begins at the first success and is skipped without one") {
  TaskGraph graph({{}, {}, {{0, 1}, Join::any}});
  graph.start(0);
  graph.start(1);
  graph.finish(0, false);
  CHECK(graph.state(2) == State::waiting);
  graph.finish(1, true);
  CHECK(graph.ready() == Indices{2});

  TaskGraph none({{}, {}, {{0, 1}, Join::any}});
  none.start(0);
  none.finish(0, false);
  none.start(1);
  none.finish(1, false);
  CHECK(none.state(2) == State::skipped);
}

TEST_CASE("graph: always begins when everything before has ended, skipped or not") {
  TaskGraph graph({{}, {{0}}, {{0, 1}, Join::always}});
  graph.start(0);
  graph.finish(0, false);
  CHECK(graph.ready() == Indices{2});
}

TEST_CASE("graph: a cycle is a bug of the caller") {
  struct Thrown {};
  const ScopedCheckHandler handler([](const std::string&) { throw Thrown{}; });
  CHECK_THROWS_AS(TaskGraph({{{1}}, {{0}}}), Thrown);
}

TEST_CASE("graph: random graphs always come to an end and never break a join") {
  Rng rng(11);
  for (int trial = 0; trial < 2000; ++trial) {
    const int32_t count = 1 + static_cast<int32_t>(rng.below(8));
    std::vector<TaskSpec> specs;
    for (int32_t i = 0; i < count; ++i) {
      TaskSpec spec{.after = {}, .join = static_cast<Join>(rng.below(3))};
      for (int32_t j = 0; j < i; ++j)
        if (rng.below(3) == 0) spec.after.push_back(j);
      specs.push_back(spec);
    }
    TaskGraph graph(specs);
    Indices running;
    while (!graph.done()) {
      const Indices ready = graph.ready();
      REQUIRE((!ready.empty() || !running.empty()));
      if (!ready.empty() && (running.empty() || rng.below(2) == 0)) {
        graph.start(ready[0]);
        running.push_back(ready[0]);
      } else {
        const size_t pick = rng.below(running.size());
        graph.finish(running[pick], rng.below(3) != 0);
        running.erase(running.begin() + static_cast<std::ptrdiff_t>(pick));
      }
    }
    for (int32_t i = 0; i < count; ++i) {
      const TaskSpec& spec = specs[static_cast<size_t>(i)];
      const auto good = std::count_if(spec.after.begin(), spec.after.end(), [&](int32_t j) {
        return graph.state(j) == State::succeeded;
      });
      const bool all = good == static_cast<std::ptrdiff_t>(spec.after.size());
      const bool may = spec.join == Join::always || all || (spec.join == Join::any && good > 0);
      CHECK((graph.state(i) != State::skipped) == may);
    }
  }
}
