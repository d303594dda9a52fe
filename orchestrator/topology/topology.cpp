#include "orchestrator/topology/topology.h"

#include <algorithm>
#include <set>

#include "engine/base/rng.h"

namespace swarm::topology {
namespace {

using Pairs = std::vector<std::pair<int32_t, int32_t>>;

class DyTopo final : public Topology {
 public:
  explicit DyTopo(MatchOptions options) : options_(options) {}
  Kind kind() const override { return Kind::dytopo; }
  bool needs_scores() const override { return true; }
  Routing route(const RoundInput& input) const override { return match(input.scores, options_); }

 private:
  MatchOptions options_;
};

// The same edges every round.
class Unchanging final : public Topology {
 public:
  Unchanging(Kind kind, int32_t agents, const Pairs& pairs) : kind_(kind) {
    std::vector<Edge> edges;
    for (const auto& [from, to] : pairs) edges.push_back({.from = from, .to = to});
    routing_ = route_edges(agents, std::move(edges));
  }
  Kind kind() const override { return kind_; }
  Routing route(const RoundInput&) const override { return routing_; }

 private:
  Kind kind_;
  Routing routing_;
};

// The control for every claim about semantic routing: as many edges, drawn at random.
class Random final : public Topology {
 public:
  explicit Random(Options options) : options_(std::move(options)) {}
  Kind kind() const override { return Kind::random; }
  bool needs_scores() const override { return !options_.random_edges; }

  Routing route(const RoundInput& input) const override {
    const size_t wanted = options_.random_edges
                              ? static_cast<size_t>(*options_.random_edges)
                              : match(input.scores, options_.match).edges.size();
    Pairs pairs;
    for (int32_t to = 0; to < options_.agents; ++to)
      for (int32_t from = 0; from < options_.agents; ++from)
        if (from != to) pairs.emplace_back(from, to);
    Rng rng(mix_seed(options_.seed, static_cast<uint64_t>(input.round)));
    for (size_t i = pairs.size(); i > 1; --i) std::swap(pairs[i - 1], pairs[rng.below(i)]);
    std::vector<Edge> edges;
    std::vector<int32_t> in_degree(static_cast<size_t>(options_.agents), 0);
    for (const auto& [from, to] : pairs) {
      if (edges.size() == wanted) break;
      // Matched edges keep the cap of the match they imitate.
      if (!options_.random_edges && in_degree[static_cast<size_t>(to)] >= options_.match.k_in)
        continue;
      ++in_degree[static_cast<size_t>(to)];
      edges.push_back({.from = from, .to = to});
    }
    return route_edges(options_.agents, std::move(edges));
  }

 private:
  Options options_;
};

Pairs pairs_of(const Options& options) {
  const int32_t n = options.agents;
  Pairs pairs;
  switch (options.kind) {
    case Kind::chain:
    case Kind::ring:
      for (int32_t i = 0; i + 1 < n; ++i) pairs.emplace_back(i, i + 1);
      if (options.kind == Kind::ring && n > 2) pairs.emplace_back(n - 1, 0);
      if (options.kind == Kind::ring && n == 2) pairs.emplace_back(1, 0);
      break;
    case Kind::star:
      for (int32_t i = 1; i < n; ++i) {
        pairs.emplace_back(0, i);
        pairs.emplace_back(i, 0);
      }
      break;
    case Kind::full:
    case Kind::debate:
      for (int32_t from = 0; from < n; ++from)
        for (int32_t to = 0; to < n; ++to)
          if (from != to) pairs.emplace_back(from, to);
      break;
    case Kind::layered:
      for (size_t layer = 0; layer + 1 < options.layers.size(); ++layer)
        for (int32_t from : options.layers[layer])
          for (int32_t to : options.layers[layer + 1]) pairs.emplace_back(from, to);
      break;
    case Kind::fixed: pairs = options.edges; break;
    case Kind::dytopo:
    case Kind::single:
    case Kind::random:
    case Kind::none: break;
  }
  return pairs;
}

Result<void> check_edges(const Options& options) {
  std::set<std::pair<int32_t, int32_t>> seen;
  for (const auto& edge : options.edges) {
    if (edge.first == edge.second) return invalid_input("an edge from an agent to itself");
    const auto [low, high] = std::minmax(edge.first, edge.second);
    if (low < 0 || high >= options.agents) return invalid_input("an edge to an unknown agent");
    if (!seen.insert(edge).second) return invalid_input("an edge listed twice");
  }
  return {};
}

Result<void> check_layers(const Options& options) {
  std::set<int32_t> seen;
  for (const auto& layer : options.layers)
    for (int32_t agent : layer) {
      if (agent < 0 || agent >= options.agents)
        return invalid_input("a layer with an unknown agent");
      if (!seen.insert(agent).second) return invalid_input("an agent in two layers");
    }
  if (seen.size() != static_cast<size_t>(options.agents))
    return invalid_input("expected every member in exactly one layer");
  return {};
}

}  // namespace

std::span<const std::string> kind_names() {
  static const std::vector<std::string> names{"dytopo", "single", "chain",   "star",
                                              "ring",   "full",   "layered", "debate",
                                              "random", "static", "none"};
  return names;
}

std::string_view to_string(Kind kind) { return kind_names()[static_cast<size_t>(kind)]; }

std::optional<Kind> parse_kind(std::string_view name) {
  const auto names = kind_names();
  const auto found = std::find(names.begin(), names.end(), name);
  if (found == names.end()) return std::nullopt;
  return static_cast<Kind>(found - names.begin());
}

Result<std::unique_ptr<Topology>> make_topology(const Options& options) {
  if (options.agents < 1) return invalid_input("expected at least one member, found none");
  if (options.match.k_in < 1)
    return invalid_input("expected k_in >= 1, found " + std::to_string(options.match.k_in));
  switch (options.kind) {
    case Kind::dytopo: return std::make_unique<DyTopo>(options.match);
    case Kind::random: return std::make_unique<Random>(options);
    case Kind::single:
      if (options.agents != 1)
        return invalid_input("expected one member for kind \"single\", found " +
                             std::to_string(options.agents));
      break;
    case Kind::fixed: SWARM_TRY_VOID(check_edges(options)); break;
    case Kind::layered: SWARM_TRY_VOID(check_layers(options)); break;
    default: break;
  }
  return std::make_unique<Unchanging>(options.kind, options.agents, pairs_of(options));
}

}  // namespace swarm::topology
