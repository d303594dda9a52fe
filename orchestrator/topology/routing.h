// orchestrator/topology/routing.h — From scores to routes: who receives whose message this round.
// Pure functions on plain values; rows are consumers, columns are providers, an edge goes from
// provider to consumer, self-edges do not exist. Formulas: DyTopo, equations 5-11 and table 7
// (reference/dytopo.md section 3); ties everywhere go to the smaller index.
#pragma once

#include <cstdint>
#include <limits>
#include <span>
#include <vector>

#include "engine/base/error.h"

namespace swarm::topology {

// scores.at(i, j): relevance of provider j for consumer i, in [-1, 1]. NaN = undefined (somebody
// said nothing): never an edge. The diagonal is ignored.
class ScoreMatrix {
 public:
  ScoreMatrix() = default;
  explicit ScoreMatrix(int32_t agents, double value = std::numeric_limits<double>::quiet_NaN())
      : agents_(agents),
        values_(static_cast<size_t>(agents) * static_cast<size_t>(agents), value) {}

  int32_t agents() const { return agents_; }
  double at(int32_t consumer, int32_t provider) const { return values_[index(consumer, provider)]; }
  void set(int32_t consumer, int32_t provider, double score) {
    values_[index(consumer, provider)] = score;
  }

 private:
  size_t index(int32_t consumer, int32_t provider) const {
    return static_cast<size_t>(consumer) * static_cast<size_t>(agents_) +
           static_cast<size_t>(provider);
  }
  int32_t agents_ = 0;
  std::vector<double> values_;
};

struct Edge {
  int32_t from = 0;      // provider
  int32_t to = 0;        // consumer
  double score = 1.0;
  bool forced = false;   // added by on_isolated, below the threshold
  friend bool operator==(const Edge&, const Edge&) = default;
};

// One round. edges: by consumer, then by relevance.
struct Routing {
  int32_t agents = 0;
  std::vector<Edge> edges = {};
  std::vector<Edge> removed = {};                    // above the threshold, cut by the cap
  std::vector<int32_t> order = {};                   // sigma: a permutation of all agents
  std::vector<std::vector<int32_t>> incoming = {};   // per consumer: providers by relevance
  std::vector<int32_t> isolated = {};                // nobody above the threshold

  double density() const;                       // edges / (N (N - 1)); 0 for one agent
};

// What to do for a consumer that no provider matched. An agent without a need (undefined scores)
// is left alone by `best`.
enum class OnIsolated : uint8_t { none, best, broadcast };

struct MatchOptions {
  double tau = 0.3;                             // an edge needs score > tau, strictly
  int32_t k_in = 3;                             // most providers per consumer, >= 1
  OnIsolated on_isolated = OnIsolated::none;
};

// Threshold, cap, order.
Routing match(const ScoreMatrix& scores, const MatchOptions& options);

// Fills order, incoming and isolated for given edges (any order, no duplicates, no self-edges).
Routing route_edges(int32_t agents, std::vector<Edge> edges);

// Repeatedly places the unplaced agent with the fewest unplaced providers, smallest index first.
// On an acyclic graph this is a topological order; in a cycle nothing is deleted.
std::vector<int32_t> greedy_order(int32_t agents, std::span<const Edge> edges);

}  // namespace swarm::topology
