// engine/constraint.h — What a generation must know of a grammar: the seam between the step loop
// and engine/grammar, so that the loop can be tested with toy languages. Semantics as in
// grammar::Matcher. A Constraint is the state of one generation; one thread at a time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "engine/sample/sampler.h"

namespace swarm::engine {

class Constraint {
 public:
  virtual ~Constraint() = default;
  virtual std::unique_ptr<Constraint> clone() const = 0;
  virtual void fill_mask(std::span<uint32_t> bits) const = 0;
  virtual bool accept(TokenId token) = 0;        // false: not allowed, state unchanged
  virtual bool may_end() const = 0;
  virtual bool ended() const = 0;
  virtual std::vector<TokenId> forced() const = 0;
  virtual std::optional<std::vector<TokenId>> completion() const = 0;
};

}  // namespace swarm::engine
