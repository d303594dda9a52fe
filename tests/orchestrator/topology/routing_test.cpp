// Golden cases G1-G8 and invariants V4-V6 and V10 of reference/dytopo.md (sections 12 and 3.7).
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <vector>

#include "engine/base/rng.h"
#include "orchestrator/topology/routing.h"

using namespace swarm;
using namespace swarm::topology;

namespace {

using Rows = std::vector<std::vector<double>>;
using Pair = std::pair<int32_t, int32_t>;

ScoreMatrix matrix(const Rows& rows) {
  ScoreMatrix scores(static_cast<int32_t>(rows.size()));
  for (size_t i = 0; i < rows.size(); ++i)
    for (size_t j = 0; j < rows.size(); ++j)
      scores.set(static_cast<int32_t>(i), static_cast<int32_t>(j), rows[i][j]);
  return scores;
}

// A matrix with `score` on the given edges (provider, consumer) and 0 elsewhere.
ScoreMatrix matrix_of(int32_t agents, const std::vector<Pair>& edges, double score = 0.5) {
  ScoreMatrix scores(agents, 0.0);
  for (const auto& [from, to] : edges) scores.set(to, from, score);
  return scores;
}

std::vector<Pair> pairs(const std::vector<Edge>& edges) {
  std::vector<Pair> out;
  for (const Edge& edge : edges) out.emplace_back(edge.from, edge.to);
  return out;
}

const Rows kG1{{9, .52, .10, .60}, {.12, 9, .05, .30}, {.77, .22, 9, .18}, {.08, .35, .02, 9}};
const Rows kG3{{9, .52, .49, .10}, {.12, 9, .05, .20}, {.77, .22, 9, .18}, {.08, .15, .02, 9}};

using Order = std::vector<int32_t>;

}  // namespace

TEST_CASE("routing: G1 a DAG, 0.30 is not above 0.30") {
  const Routing r = match(matrix(kG1), {.tau = 0.3, .k_in = 3});
  CHECK(pairs(r.edges) == std::vector<Pair>{{3, 0}, {1, 0}, {0, 2}, {1, 3}});
  CHECK(r.order == Order{1, 3, 0, 2});
  CHECK(r.incoming == std::vector<Order>{{3, 1}, {}, {0}, {1}});
  CHECK(r.isolated == Order{1});
  CHECK(r.removed.empty());
}

TEST_CASE("routing: G2 the cap keeps the most relevant provider and logs the rest") {
  const Routing r = match(matrix(kG1), {.tau = 0.3, .k_in = 1});
  CHECK(pairs(r.edges) == std::vector<Pair>{{3, 0}, {0, 2}, {1, 3}});
  CHECK(r.order == Order{1, 3, 0, 2});
  CHECK(r.incoming[0] == Order{3});
  CHECK(pairs(r.removed) == std::vector<Pair>{{1, 0}});
}

TEST_CASE("routing: G3 a 2-cycle keeps both edges") {
  const Routing r = match(matrix(kG3), {.tau = 0.3, .k_in = 3});
  CHECK(pairs(r.edges) == std::vector<Pair>{{1, 0}, {2, 0}, {0, 2}});
  CHECK(r.order == Order{1, 3, 0, 2});
  CHECK(r.incoming == std::vector<Order>{{1, 2}, {}, {0}, {}});
}

TEST_CASE("routing: G4 a 3-cycle with a tail") {
  const Routing r = match(matrix_of(4, {{0, 1}, {1, 2}, {2, 0}, {2, 3}}), {.tau = 0.3, .k_in = 3});
  CHECK(r.edges.size() == 4);
  CHECK(r.order == Order{0, 1, 2, 3});
  CHECK(r.incoming == std::vector<Order>{{2}, {0}, {1}, {2}});
}

TEST_CASE("routing: G5 agents are placed one at a time, not level by level") {
  const Routing r = match(matrix_of(4, {{1, 0}}), {.tau = 0.3, .k_in = 3});
  CHECK(pairs(r.edges) == std::vector<Pair>{{1, 0}});
  CHECK(r.order == Order{1, 0, 2, 3});
  CHECK(r.incoming[0] == Order{1});
}

TEST_CASE("routing: G6 ties at the cap go to the smaller index") {
  const Routing r =
      match(matrix_of(5, {{1, 0}, {2, 0}, {3, 0}, {4, 0}}), {.tau = 0.3, .k_in = 3});
  CHECK(pairs(r.edges) == std::vector<Pair>{{1, 0}, {2, 0}, {3, 0}});
  CHECK(r.order == Order{1, 2, 3, 0, 4});
  CHECK(r.incoming[0] == Order{1, 2, 3});
  CHECK(pairs(r.removed) == std::vector<Pair>{{4, 0}});
}

TEST_CASE("routing: G7 nothing above the threshold") {
  const Routing r = match(ScoreMatrix(4, 0.3), {.tau = 0.3, .k_in = 3});
  CHECK(r.edges.empty());
  CHECK(r.order == Order{0, 1, 2, 3});
  CHECK(r.isolated == Order{0, 1, 2, 3});
}

TEST_CASE("routing: G8 two cycles") {
  const Routing r = match(matrix_of(5, {{1, 0}, {2, 0}, {0, 1}, {3, 2}, {2, 3}, {4, 3}}),
                          {.tau = 0.3, .k_in = 3});
  CHECK(r.edges.size() == 6);
  CHECK(r.order == Order{4, 1, 0, 2, 3});
  CHECK(r.incoming[0] == Order{1, 2});
  CHECK(r.incoming[3] == Order{2, 4});
}

TEST_CASE("routing: an undefined score is never an edge, whatever tau") {
  const ScoreMatrix nothing(3);
  for (OnIsolated rule : {OnIsolated::none, OnIsolated::best})
    CHECK(match(nothing, {.tau = -2, .k_in = 3, .on_isolated = rule}).edges.empty());
}

TEST_CASE("routing: on_isolated best connects the best provider and marks it forced") {
  const Routing r = match(matrix(kG1), {.tau = 0.6, .k_in = 3, .on_isolated = OnIsolated::best});
  CHECK(pairs(r.edges) == std::vector<Pair>{{3, 0}, {3, 1}, {0, 2}, {1, 3}});
  CHECK(r.edges[0].forced);
  CHECK(!r.edges[2].forced);
  CHECK(r.isolated == Order{0, 1, 3});
}

TEST_CASE("routing: on_isolated broadcast connects everybody to the isolated consumer") {
  const Routing r = match(matrix_of(3, {{1, 0}, {0, 1}}),
                          {.tau = 0.3, .k_in = 1, .on_isolated = OnIsolated::broadcast});
  CHECK(pairs(r.edges) == std::vector<Pair>{{1, 0}, {0, 1}, {0, 2}, {1, 2}});
  CHECK(r.isolated == Order{2});
}

namespace {

// Coarse scores, so that ties and cycles are common; some undefined.
ScoreMatrix random_scores(int32_t agents, Rng& rng) {
  ScoreMatrix scores(agents);
  for (int32_t i = 0; i < agents; ++i)
    for (int32_t j = 0; j < agents; ++j)
      if (rng.below(10) != 0) scores.set(i, j, static_cast<double>(rng.below(11)) / 10);
  return scores;
}

bool acyclic(int32_t agents, const std::vector<Edge>& edges) {
  std::vector<Edge> left = edges;
  std::vector<bool> gone(static_cast<size_t>(agents), false);
  for (int32_t pass = 0; pass < agents; ++pass)
    for (int32_t a = 0; a < agents; ++a) {
      if (gone[static_cast<size_t>(a)]) continue;
      if (std::any_of(left.begin(), left.end(), [a](const Edge& e) { return e.to == a; })) continue;
      gone[static_cast<size_t>(a)] = true;
      std::erase_if(left, [a](const Edge& e) { return e.from == a; });
    }
  return left.empty();
}

}  // namespace

TEST_CASE("routing: V4, V5, V6, V10 hold for random matrices") {
  Rng rng(7);
  int cyclic_seen = 0, acyclic_seen = 0;
  for (int trial = 0; trial < 2000; ++trial) {
    CAPTURE(trial);
    const int32_t agents = 1 + static_cast<int32_t>(rng.below(7));
    const ScoreMatrix scores = random_scores(agents, rng);
    const MatchOptions options{.tau = static_cast<double>(rng.below(10)) / 10,
                               .k_in = 1 + static_cast<int32_t>(rng.below(4))};
    const Routing r = match(scores, options);
    // V4, and V10: nothing but the threshold and the cap removes an edge.
    size_t above = 0;
    for (int32_t i = 0; i < agents; ++i) {
      int32_t providers = 0;
      for (int32_t j = 0; j < agents; ++j) providers += i != j && scores.at(i, j) > options.tau;
      above += static_cast<size_t>(providers);
      CHECK(r.incoming[static_cast<size_t>(i)].size() ==
            static_cast<size_t>(std::min(providers, options.k_in)));
    }
    CHECK(r.edges.size() + r.removed.size() == above);
    for (const Edge& edge : r.edges) {
      CHECK(edge.from != edge.to);
      CHECK(edge.score > options.tau);
      CHECK(edge.score == scores.at(edge.to, edge.from));
    }
    // V5.
    std::vector<int32_t> sorted = r.order;
    std::sort(sorted.begin(), sorted.end());
    for (int32_t i = 0; i < agents; ++i) REQUIRE(sorted[static_cast<size_t>(i)] == i);
    std::vector<int32_t> position(static_cast<size_t>(agents));
    for (int32_t p = 0; p < agents; ++p)
      position[static_cast<size_t>(r.order[static_cast<size_t>(p)])] = p;
    if (acyclic(agents, r.edges)) {
      ++acyclic_seen;
      for (const Edge& edge : r.edges)
        CHECK(position[static_cast<size_t>(edge.from)] < position[static_cast<size_t>(edge.to)]);
    } else {
      ++cyclic_seen;
    }
    // V6.
    const Routing again = match(scores, options);
    CHECK(again.edges == r.edges);
    CHECK(again.order == r.order);
    // Raising tau yields a subset when the cap does not bind.
    const MatchOptions open{.tau = options.tau, .k_in = agents};
    const MatchOptions higher{.tau = options.tau + 0.2, .k_in = agents};
    const Routing wide = match(scores, open);
    for (const Edge& edge : match(scores, higher).edges)
      CHECK(std::find(wide.edges.begin(), wide.edges.end(), edge) != wide.edges.end());
  }
  CHECK(cyclic_seen > 100);
  CHECK(acyclic_seen > 100);
}
