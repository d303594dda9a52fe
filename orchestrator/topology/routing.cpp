#include "orchestrator/topology/routing.h"

#include <algorithm>

#include "engine/base/check.h"

namespace swarm::topology {
namespace {

// Relevance first, then the smaller provider index.
bool more_relevant(const Edge& a, const Edge& b) {
  return a.score != b.score ? a.score > b.score : a.from < b.from;
}

// All defined scores of one consumer, best first.
std::vector<Edge> candidates_of(const ScoreMatrix& scores, int32_t consumer) {
  std::vector<Edge> found;
  for (int32_t provider = 0; provider < scores.agents(); ++provider) {
    const double score = scores.at(consumer, provider);
    if (provider != consumer && score == score)
      found.push_back({.from = provider, .to = consumer, .score = score});
  }
  std::sort(found.begin(), found.end(), more_relevant);
  return found;
}

// Edges for a consumer that matched nobody.
std::vector<Edge> rescue(const ScoreMatrix& scores, int32_t consumer, OnIsolated rule,
                         const std::vector<Edge>& candidates) {
  std::vector<Edge> added;
  if (rule == OnIsolated::best && !candidates.empty()) added.push_back(candidates.front());
  if (rule == OnIsolated::broadcast) {
    for (int32_t provider = 0; provider < scores.agents(); ++provider) {
      const double score = scores.at(consumer, provider);
      if (provider != consumer)
        added.push_back({.from = provider, .to = consumer, .score = score == score ? score : 0.0});
    }
  }
  for (Edge& edge : added) edge.forced = true;
  return added;
}

}  // namespace

double Routing::density() const {
  if (agents < 2) return 0;
  return static_cast<double>(edges.size()) / (static_cast<double>(agents) * (agents - 1));
}

Routing match(const ScoreMatrix& scores, const MatchOptions& options) {
  SWARM_CHECK(options.k_in >= 1, options.k_in);
  std::vector<Edge> edges, removed;
  std::vector<int32_t> isolated;
  for (int32_t consumer = 0; consumer < scores.agents(); ++consumer) {
    const std::vector<Edge> candidates = candidates_of(scores, consumer);
    int32_t kept = 0;
    for (const Edge& edge : candidates) {
      if (!(edge.score > options.tau)) break;  // sorted: the rest is not above either
      (kept < options.k_in ? edges : removed).push_back(edge);
      ++kept;
    }
    if (kept > 0) continue;
    isolated.push_back(consumer);
    for (const Edge& edge : rescue(scores, consumer, options.on_isolated, candidates))
      edges.push_back(edge);
  }
  Routing routing = route_edges(scores.agents(), std::move(edges));
  routing.removed = std::move(removed);
  routing.isolated = std::move(isolated);
  return routing;
}

Routing route_edges(int32_t agents, std::vector<Edge> edges) {
  Routing routing{.agents = agents};
  std::sort(edges.begin(), edges.end(), [](const Edge& a, const Edge& b) {
    return a.to != b.to ? a.to < b.to : more_relevant(a, b);
  });
  routing.incoming.resize(static_cast<size_t>(agents));
  for (const Edge& edge : edges) {
    SWARM_CHECK(edge.from != edge.to, edge.from);
    SWARM_CHECK(edge.from >= 0 && edge.from < agents && edge.to >= 0 && edge.to < agents,
                edge.from, edge.to, agents);
    routing.incoming[static_cast<size_t>(edge.to)].push_back(edge.from);
  }
  for (int32_t agent = 0; agent < agents; ++agent)
    if (routing.incoming[static_cast<size_t>(agent)].empty()) routing.isolated.push_back(agent);
  routing.order = greedy_order(agents, edges);
  routing.edges = std::move(edges);
  return routing;
}

std::vector<int32_t> greedy_order(int32_t agents, std::span<const Edge> edges) {
  std::vector<int32_t> waiting_for(static_cast<size_t>(agents), 0);  // unplaced providers
  std::vector<bool> placed(static_cast<size_t>(agents), false);
  for (const Edge& edge : edges) ++waiting_for[static_cast<size_t>(edge.to)];
  std::vector<int32_t> order;
  while (order.size() < static_cast<size_t>(agents)) {
    int32_t next = -1;
    for (int32_t agent = 0; agent < agents; ++agent) {
      const size_t a = static_cast<size_t>(agent);
      if (placed[a]) continue;
      if (next < 0 || waiting_for[a] < waiting_for[static_cast<size_t>(next)]) next = agent;
    }
    placed[static_cast<size_t>(next)] = true;
    order.push_back(next);
    for (const Edge& edge : edges)
      if (edge.from == next) --waiting_for[static_cast<size_t>(edge.to)];
  }
  return order;
}

}  // namespace swarm::topology
