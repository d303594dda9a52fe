#include "engine/grammar/turn.h"

#include <algorithm>
#include <vector>

#include "engine/grammar/schema_compiler.h"
#include "engine/grammar/token_trie.h"

namespace swarm::engine::grammar {
namespace {

constexpr std::string_view kCallBegin = "<tool_call>";
constexpr std::string_view kCallEnd = "</tool_call>";
constexpr int32_t kCallsMax = 1000;

class TurnCompiler {
 public:
  TurnCompiler(const TurnSpec& spec, const TokenTrie& trie)
      : spec_(spec), trie_(trie), rules_(builder_) {}

  Result<Rtn> compile() {
    SWARM_TRY_VOID(check_tokens());
    SWARM_TRY_VOID(check_tools());
    const RuleId root = builder_.declare("turn");
    Nfa nfa;
    SWARM_TRY(Piece body, answer(nfa));
    if (spec_.think_end >= 0) {
      const Piece gap = nfa.any_of({nfa.empty(), nfa.literal("\n"), nfa.literal("\n\n")});
      const Piece thoughts =
          nfa.sequence({free_text(nfa), nfa.special(spec_.think_end), gap});
      body = spec_.think_begin < 0
                 ? nfa.sequence({thoughts, body})
                 : nfa.sequence({nfa.optional(nfa.sequence(
                                     {nfa.special(spec_.think_begin), thoughts})),
                                 body});
    }
    SWARM_TRY(Dfa dfa, nfa.determinize(body));
    SWARM_TRY_VOID(builder_.define(root, std::move(dfa)));
    return builder_.finish(root, trie_.spelled);
  }

 private:
  Result<void> check_tokens() const {
    for (const auto& [name, id] : {std::pair{"tool_call_begin", spec_.tool_call_begin},
                                   std::pair{"tool_call_end", spec_.tool_call_end},
                                   std::pair{"think_begin", spec_.think_begin},
                                   std::pair{"think_end", spec_.think_end}}) {
      const bool inside = id >= 0 && static_cast<size_t>(id) < trie_.token_count();
      if (id == -1 || (inside && trie_.vocabulary.special[static_cast<size_t>(id)])) continue;
      return invalid_input(std::string(name) + ": expected a special token of the vocabulary, " +
                           "found " + std::to_string(id));
    }
    return {};
  }

  Result<void> check_tools() {
    const bool wanted = spec_.tool_choice != ToolChoice::none;
    if (wanted) {
      for (const ToolGrammar& tool : spec_.tools) {
        const bool chosen = spec_.tool_choice != ToolChoice::named || tool.name == spec_.named_tool;
        if (chosen) tools_.push_back(&tool);
        if (std::count_if(spec_.tools.begin(), spec_.tools.end(),
                          [&](const ToolGrammar& other) { return other.name == tool.name; }) > 1) {
          return invalid_input("two tools are called \"" + tool.name + "\"");
        }
      }
    }
    if (spec_.tool_choice == ToolChoice::named && tools_.empty()) {
      return invalid_input("no tool is called \"" + spec_.named_tool + "\"");
    }
    if (spec_.tool_choice == ToolChoice::required && tools_.empty()) {
      return invalid_input("a tool call is required, but there are no tools");
    }
    if (!tools_.empty() && (spec_.calls_max < 1 || spec_.calls_max > kCallsMax)) {
      return invalid_input("calls_max: expected 1 to " + std::to_string(kCallsMax) + ", found " +
                           std::to_string(spec_.calls_max));
    }
    return {};
  }

  // Any normal tokens; the byte level does not check UTF-8 here, the model wrote text before too.
  static Piece free_text(Nfa& nfa) { return nfa.star(nfa.bytes(0, 255)); }

  // What follows the reasoning.
  Result<Piece> answer(Nfa& nfa) {
    std::vector<Piece> ways;
    const bool optional_calls = spec_.tool_choice == ToolChoice::automatic;
    if (!tools_.empty()) {
      SWARM_TRY_VOID(define_call());
      if (!optional_calls) return calls(nfa);
    }
    if (spec_.output_schema) {
      SchemaCompiler schema(rules_, *spec_.output_schema, "output_schema");
      if (spec_.output_format == OutputFormat::json) {
        SWARM_TRY(const RuleId rule, schema.compile());
        ways.push_back(nfa.call(rule));
      } else {
        SWARM_TRY(const Piece blocks, schema.tagged_properties(nfa));
        ways.push_back(blocks);
      }
      if (!tools_.empty()) ways.push_back(calls(nfa));
      return nfa.any_of(ways);
    }
    if (tools_.empty()) return free_text(nfa);
    // Free text until the trigger. Spelled out, the trigger may not occur in the text before.
    if (spec_.tool_call_begin >= 0) {
      return nfa.sequence({free_text(nfa), nfa.optional(calls(nfa))});
    }
    const Piece text = nfa.embed(without_substring(kCallBegin));
    return nfa.sequence({text, nfa.optional(calls(nfa))});
  }

  Piece marker(Nfa& nfa, TokenId token, std::string_view text) const {
    return token >= 0 ? nfa.special(token) : nfa.literal(text);
  }

  // One call, from its opening marker, and further ones each on a line of their own.
  Piece calls(Nfa& nfa) {
    const auto one = [&] {
      return nfa.sequence({marker(nfa, spec_.tool_call_begin, kCallBegin), nfa.call(call_rule_)});
    };
    const auto next = [&] { return nfa.sequence({nfa.literal("\n"), one()}); };
    return nfa.sequence({one(), nfa.repeat(next, 0, spec_.calls_max - 1)});
  }

  // What stands between the opening marker and the closing one, which it includes.
  Result<void> define_call() {
    call_rule_ = builder_.declare("tool call");
    Nfa nfa;
    std::vector<Piece> bodies;
    for (const ToolGrammar* tool : tools_) {
      const Json& given = tool->parameters;
      if (given.is_object() && given.contains("type") && given["type"] != "object") {
        return invalid_input(document_name(*tool) + "#/type: expected \"object\", found " +
                             dump_json(given["type"]));
      }
      parameters_.push_back(std::make_unique<Json>(object_schema(tool->parameters)));
      SWARM_TRY(const Piece body, spec_.call_format == CallFormat::json
                                      ? json_call(nfa, *tool, *parameters_.back())
                                      : xml_call(nfa, *tool, *parameters_.back()));
      bodies.push_back(body);
    }
    const Piece whole =
        nfa.sequence({nfa.any_of(bodies), marker(nfa, spec_.tool_call_end, kCallEnd)});
    SWARM_TRY(Dfa dfa, nfa.determinize(whole));
    return builder_.define(call_rule_, std::move(dfa), RuleKind::container);
  }

  // Arguments are an object whatever else the schema leaves open.
  static Json object_schema(const Json& parameters) {
    if (parameters.is_null()) return {{"type", "object"}, {"properties", Json::object()}};
    Json schema = parameters;
    if (schema.is_object() && !schema.contains("type")) schema["type"] = "object";
    return schema;
  }

  static std::string document_name(const ToolGrammar& tool) {
    return "tool \"" + tool.name + "\" ";
  }

  Result<Piece> json_call(Nfa& nfa, const ToolGrammar& tool, const Json& parameters) {
    SchemaCompiler schema(rules_, parameters, document_name(tool));
    SWARM_TRY(const RuleId arguments, schema.compile());
    return nfa.sequence(
        {nfa.literal("\n{\"name\": " + dump_json(Json(tool.name)) + ", \"arguments\": "),
         nfa.call(arguments), nfa.literal("}\n")});
  }

  Result<Piece> xml_call(Nfa& nfa, const ToolGrammar& tool, const Json& parameters) {
    if (tool.name.find_first_of(">\n") != std::string::npos) {
      return unsupported("tool \"" + tool.name + "\": unsupported name in XML");
    }
    SchemaCompiler schema(rules_, parameters, document_name(tool));
    SWARM_TRY(const Piece arguments, schema.xml_parameters(nfa));
    return nfa.sequence(
        {nfa.literal("\n<function=" + tool.name + ">\n"), arguments, nfa.literal("</function>\n")});
  }

  const TurnSpec& spec_;
  const TokenTrie& trie_;
  RtnBuilder builder_;
  RuleSet rules_;
  std::vector<const ToolGrammar*> tools_;          // those that may be called
  std::vector<std::unique_ptr<Json>> parameters_;  // stable addresses for the compilers
  RuleId call_rule_ = 0;
};

}  // namespace

Result<Rtn> compile_turn(const TurnSpec& spec, const TokenTrie& trie) {
  return TurnCompiler(spec, trie).compile();
}

std::string turn_key(const TurnSpec& spec) {
  Json key = Json::array();
  key.push_back(spec.output_schema ? Json::array({*spec.output_schema}) : Json());
  for (const ToolGrammar& tool : spec.tools) key.push_back({tool.name, tool.parameters});
  key.push_back({static_cast<int>(spec.tool_choice), static_cast<int>(spec.call_format),
                 static_cast<int>(spec.output_format), spec.calls_max, spec.tool_call_begin,
                 spec.tool_call_end, spec.think_begin, spec.think_end});
  key.push_back(spec.named_tool);
  return dump_json(key);
}

}  // namespace swarm::engine::grammar
