// engine/grammar/turn.h — A TurnSpec to a network: optional reasoning, then free text, tool calls
// or JSON text. Pure function. Fails on an inconsistent specification and on schemas that the
// schema compiler refuses.
#pragma once

#include "engine/grammar/rtn.h"

namespace swarm::engine::grammar {

struct TokenTrie;

Result<Rtn> compile_turn(const TurnSpec& spec, const TokenTrie& trie);

// Everything that compile_turn depends on, as text.
std::string turn_key(const TurnSpec& spec);

}  // namespace swarm::engine::grammar
