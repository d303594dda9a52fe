// engine/grammar_constraint.h — A grammar::Matcher as the step loop's Constraint. Private to the
// facade.
#pragma once

#include <memory>

#include "engine/constraint.h"

namespace swarm::engine {
namespace grammar {
class Grammar;
}

std::unique_ptr<Constraint> make_constraint(std::shared_ptr<const grammar::Grammar> grammar);

}  // namespace swarm::engine
