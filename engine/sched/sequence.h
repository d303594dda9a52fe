// engine/sched/sequence.h — One context as the scheduler sees it: its tokens, how many of them have
// K and V, and where it stands. Owned by the Scheduler; not thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <vector>

#include "engine/base/deadline.h"
#include "engine/kv/page_table.h"

namespace swarm::engine::sched {

using SequenceId = uint64_t;

// waiting: no pages. prefilling: resident, its known tokens are being computed (for the first time
// or again). decoding: resident, all but the newest tokens are computed.
enum class Phase : uint8_t { waiting, prefilling, decoding };

// What the caller says about a new context.
struct NewSequence {
  std::vector<TokenId> tokens = {};       // the prompt; non-empty
  int32_t new_tokens_max = 1;             // appended at most; 0 = only fill the cache
  int32_t priority = 0;
  Deadline deadline = {};
  std::chrono::milliseconds keep_for{0};
  int32_t pin_tokens = 0;
  uint64_t pin_owner = 0;
  bool drop = false;
};

struct Sequence {
  SequenceId id = 0;                      // arrival order
  NewSequence spec;                       // spec.tokens grows with the output
  int32_t computed = 0;                   // K and V of tokens[0, computed) are in pages
  Phase phase = Phase::waiting;
  int32_t level = 0;                      // priority plus what waiting earned
  int32_t steps_waited = 0;
  std::optional<kv::NodeRef> wait_for;    // a twin computes what this one needs
  kv::PageTable table;

  Sequence(SequenceId identity, NewSequence what, kv::PagePool& pool, kv::PrefixCache& cache)
      : id(identity), spec(std::move(what)), level(spec.priority), table(pool, cache) {}

  const std::vector<TokenId>& tokens() const { return spec.tokens; }
  int32_t size() const { return static_cast<int32_t>(spec.tokens.size()); }
  int32_t pending() const { return size() - computed; }
  bool resident() const { return phase != Phase::waiting; }
  // The one order of service: higher level first, then earlier arrival.
  bool before(const Sequence& other) const {
    return level != other.level ? level > other.level : id < other.id;
  }
};

}  // namespace swarm::engine::sched
