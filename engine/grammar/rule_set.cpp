// Rules that every document may share: any value, free strings and numbers, free keys.
#include "engine/grammar/numbers.h"
#include "engine/grammar/schema_compiler.h"

namespace swarm::engine::grammar {
namespace {

// Every accepting state gets this byte as a way to one last state.
void close_with(Dfa& dfa, uint8_t byte) {
  const auto last = static_cast<StateId>(dfa.states.size());
  for (Dfa::State& state : dfa.states) {
    if (!state.accepting) continue;
    state.accepting = false;
    auto at = state.bytes.begin();
    while (at != state.bytes.end() && at->low < byte) ++at;
    state.bytes.insert(at, {byte, byte, last});
  }
  dfa.states.emplace_back().accepting = true;
}

}  // namespace

// Bodies end between characters, where no edge reads a quote: only an escape does.
Dfa quoted(const Dfa& body) {
  Dfa dfa;
  dfa.states.emplace_back().bytes.push_back({'"', '"', 1});
  for (Dfa::State state : body.states) {
    for (ByteEdge& edge : state.bytes) ++edge.target;
    dfa.states.push_back(std::move(state));
  }
  close_with(dfa, '"');
  return dfa;
}

Result<RuleId> RuleSet::once(const std::string& name, RuleKind kind,
                             const std::function<Result<Dfa>()>& write) {
  const auto [found, added] = known_.try_emplace(name, 0);
  if (!added) return found->second;
  const RuleId rule = found->second = builder_.declare(name);
  SWARM_TRY(Dfa dfa, write());
  SWARM_TRY_VOID(builder_.define(rule, std::move(dfa), kind));
  return rule;
}

Result<RuleId> RuleSet::key_except(const std::vector<std::string>& declared) {
  std::string name = "key";
  for (const std::string& key : declared) name += " " + key + "\"";
  return once(name, RuleKind::key, [&]() -> Result<Dfa> {
    SWARM_TRY(const Dfa any, text_of_length(0, -1, TextCoding::json));
    SWARM_TRY(Dfa key, intersect(any, everything_but(declared)));
    close_with(key, '"');
    return key;
  });
}

Result<RuleId> RuleSet::any_of_type(const std::string& type) {
  if (type == "object" || type == "array") {
    SWARM_TRY(const RuleId value, any_value());
    return once("any " + type, RuleKind::container,
                [&] { return type == "object" ? any_object(value) : any_array(value); });
  }
  return once("any " + type, RuleKind::plain, [&]() -> Result<Dfa> {
    if (type == "number" || type == "integer") return free_number(type == "integer");
    if (type == "string") {
      SWARM_TRY(const Dfa body, text_of_length(0, -1, TextCoding::json));
      return quoted(body);
    }
    Nfa nfa;
    return nfa.determinize(type == "null"
                               ? nfa.literal("null")
                               : nfa.any_of({nfa.literal("true"), nfa.literal("false")}));
  });
}

Result<RuleId> RuleSet::any_value() {
  const auto [found, added] = known_.try_emplace("any value", 0);
  if (!added) return found->second;
  const RuleId rule = found->second = builder_.declare("any value");
  Nfa nfa;
  std::vector<Piece> pieces;
  for (const char* type : {"object", "array", "string", "number", "boolean", "null"}) {
    SWARM_TRY(const RuleId inner, any_of_type(type));
    pieces.push_back(nfa.call(inner));
  }
  SWARM_TRY(Dfa dfa, nfa.determinize(nfa.any_of(pieces)));
  SWARM_TRY_VOID(builder_.define(rule, std::move(dfa)));
  return rule;
}

Result<Dfa> RuleSet::any_object(RuleId value) {
  SWARM_TRY(const RuleId key, key_except({}));
  Nfa nfa;
  const auto member = [&] {
    return nfa.sequence({nfa.literal("\""), nfa.call(key), nfa.literal(": "), nfa.call(value)});
  };
  const Piece more = nfa.star(nfa.sequence({nfa.literal(", "), member()}));
  const Piece members = nfa.optional(nfa.sequence({member(), more}));
  return nfa.determinize(nfa.sequence({nfa.literal("{"), members, nfa.literal("}")}));
}

Result<Dfa> RuleSet::any_array(RuleId value) {
  Nfa nfa;
  const Piece more = nfa.star(nfa.sequence({nfa.literal(", "), nfa.call(value)}));
  const Piece items = nfa.optional(nfa.sequence({nfa.call(value), more}));
  return nfa.determinize(nfa.sequence({nfa.literal("["), items, nfa.literal("]")}));
}

}  // namespace swarm::engine::grammar
