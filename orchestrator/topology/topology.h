// orchestrator/topology/topology.h — Who talks to whom in a round: DyTopo and its baselines behind
// one interface. A Topology is immutable and thread-safe; the same input gives the same routing.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "orchestrator/topology/routing.h"

namespace swarm::topology {

enum class Kind : uint8_t {
  dytopo,   // edges from the scores of the round
  single,   // one member, nobody to talk to
  chain,    // each member to the next
  star,     // the first member to all others and back
  ring,     // a chain whose end meets its beginning
  full,     // everybody to everybody
  layered,  // every member of a layer to every member of the next
  debate,   // as full, but what travels is the public message
  random,   // random edges, as many as asked for or as DyTopo would have drawn
  fixed,    // "static" in YAML: named edges
  none,     // no edges
};
std::span<const std::string> kind_names();  // as written in YAML, in the order of Kind
std::string_view to_string(Kind kind);
std::optional<Kind> parse_kind(std::string_view name);

struct Options {
  Kind kind = Kind::dytopo;
  int32_t agents = 1;
  MatchOptions match = {};                              // dytopo; random when edges is unset
  std::optional<int32_t> random_edges = {};             // random: edges per round; unset = matched
  std::vector<std::pair<int32_t, int32_t>> edges = {};  // fixed: provider, consumer
  std::vector<std::vector<int32_t>> layers = {};        // layered: a partition of the agents
  uint64_t seed = 0;                               // random
};

struct RoundInput {
  int32_t round = 0;
  ScoreMatrix scores = {};                              // read by dytopo and by matched random
};

class Topology {
 public:
  virtual ~Topology() = default;
  virtual Kind kind() const = 0;
  virtual Routing route(const RoundInput& input) const = 0;
  // True when route() reads the scores.
  virtual bool needs_scores() const { return false; }
};

// Refuses impossible options (no agent, k_in < 1, self-edges, layers that are no partition).
Result<std::unique_ptr<Topology>> make_topology(const Options& options);

}  // namespace swarm::topology
