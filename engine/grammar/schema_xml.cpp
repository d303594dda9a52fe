// Objects as XML: the parameters of a tool call, and tagged blocks. Strings are raw text there.
#include <algorithm>

#include "engine/grammar/pattern.h"
#include "engine/grammar/schema_compiler.h"

namespace swarm::engine::grammar {
namespace {

const std::string kParameterEnd = "\n</parameter>";

}  // namespace

Result<Json> SchemaCompiler::xml_object() {
  SWARM_TRY(Json flat, document_.flatten(document_.root(), ""));
  if (!flat.is_object() || flat.contains("anyOf") || flat.contains("oneOf") ||
      types_of(flat) != std::vector<std::string>{"object"}) {
    return unsupported(document_.at("") + ": expected one object schema for XML");
  }
  SWARM_TRY(const std::vector<Property> declared, properties(flat, ""));
  for (const Property& property : declared) {
    if (property.name.find_first_of(">\n") != std::string::npos) {
      return unsupported(document_.at(property.path) + ": unsupported property name in XML");
    }
  }
  return flat;
}

Result<Piece> SchemaCompiler::xml_parameters(Nfa& nfa) {
  SWARM_TRY(const Json flat, xml_object());
  SWARM_TRY(const std::vector<Property> declared, properties(flat, ""));
  std::vector<Piece> pieces;
  for (const Property& property : declared) {
    SWARM_TRY(const Piece value, xml_value(nfa, property, kParameterEnd));
    const Piece whole = nfa.sequence({nfa.literal("<parameter=" + property.name + ">\n"), value,
                                      nfa.literal(kParameterEnd + "\n")});
    pieces.push_back(property.required ? whole : nfa.optional(whole));
  }
  return nfa.sequence(pieces);
}

Result<Piece> SchemaCompiler::tagged_properties(Nfa& nfa) {
  SWARM_TRY(const Json flat, xml_object());
  SWARM_TRY(const std::vector<Property> declared, properties(flat, ""));
  std::vector<Piece> pieces;
  for (const Property& property : declared) {
    if (!property.required) {
      return unsupported(document_.at(property.path) + ": optional property in tags");
    }
    const std::string end = "\n</" + property.name + ">";
    // A rule of its own: its masks are kept, and long limits do not multiply.
    const RuleId rule = rules_.builder().declare("tag " + property.name);
    Nfa block;
    SWARM_TRY(const Piece value, xml_value(block, property, end));
    const Piece whole = block.sequence(
        {block.literal("<" + property.name + ">\n"), value, block.literal(end)});
    SWARM_TRY(Dfa dfa, block.determinize(whole));
    SWARM_TRY_VOID(rules_.builder().define(rule, std::move(dfa)));
    if (!pieces.empty()) pieces.push_back(nfa.literal("\n"));
    pieces.push_back(nfa.call(rule));
  }
  return nfa.sequence(pieces);
}

// The branches of unions and type lists as flat schemas of one type each (or listed values).
Result<std::vector<Json>> SchemaCompiler::xml_branches(const Json& schema, const std::string& path,
                                                       int nesting) {
  SWARM_TRY(const Json flat, document_.flatten(schema, path));
  if (!flat.is_object() || nesting > 8) return std::vector<Json>{flat};
  std::vector<Json> branches;
  for (const char* key : {"anyOf", "oneOf"}) {
    Json rest = flat;
    rest.erase(key);
    if (!flat.contains(key) || content_of(rest) != "{}") continue;
    for (const Json& branch : flat[key]) {
      SWARM_TRY(const std::vector<Json> inner, xml_branches(branch, path, nesting + 1));
      branches.insert(branches.end(), inner.begin(), inner.end());
    }
    return branches;
  }
  const bool single = flat.contains("anyOf") || flat.contains("oneOf") || flat.contains("enum") ||
                      flat.contains("const") || !flat.contains("type");
  if (single) return std::vector<Json>{flat};
  for (const std::string& type : types_of(flat)) {
    branches.push_back(flat);
    branches.back()["type"] = type;
  }
  return branches;
}

// A reader of the call tries the narrow types first and else keeps the text, so a raw string beside
// numbers, arrays or objects must not begin like one; "null" and "true" are valid either way.
Result<Piece> SchemaCompiler::xml_value(Nfa& nfa, const Property& property,
                                        const std::string& end) {
  const Json any = true;
  const Json& schema = property.schema == nullptr ? any : *property.schema;
  // Compiled as a whole too: the checks of oneOf and of every keyword are there.
  SWARM_TRY(const RuleId whole, rule_for(schema, property.path));
  SWARM_TRY(const std::vector<Json> branches, xml_branches(schema, property.path, 0));
  const auto is_text = [](const Json& branch) {
    return branch.is_object() && !branch.contains("anyOf") && !branch.contains("oneOf") &&
           types_of(branch) == std::vector<std::string>{"string"};
  };
  const bool mixed = std::any_of(branches.begin(), branches.end(), [&](const Json& branch) {
    if (!branch.is_object() || !branch.contains("type") || is_text(branch)) return false;
    return branch["type"] != "null" && branch["type"] != "boolean";
  });
  std::vector<Piece> pieces;
  for (const Json& branch : branches) {
    if (branch.is_object() && (branch.contains("enum") || branch.contains("const"))) {
      SWARM_TRY(const Piece listed, xml_listed(nfa, branch, property.path, end));
      pieces.push_back(listed);
    } else if (is_text(branch)) {
      SWARM_TRY(Dfa body, text(branch, TextCoding::raw, property.path));
      if (mixed) {
        SWARM_TRY(const Dfa other, compile_pattern("^$|^[^-0-9{\\[\\s]", TextCoding::raw));
        SWARM_TRY(body, intersect(body, other));
      }
      SWARM_TRY(const Dfa value, intersect(body, without_substring(end)));
      if (value.empty()) return wrong(property.path, "no raw text satisfies this in XML");
      pieces.push_back(nfa.embed(value));
    } else if (branches.size() == 1) {
      pieces.push_back(nfa.call(whole));
    } else {
      SWARM_TRY(const RuleId rule, rule_for(branch, property.path));
      pieces.push_back(nfa.call(rule));
    }
  }
  return nfa.any_of(pieces);
}

Result<Piece> SchemaCompiler::xml_listed(Nfa& nfa, const Json& flat, const std::string& path,
                                         const std::string& end) {
  SWARM_TRY(const std::vector<Json> values, admitted_values(flat, path));
  std::vector<Piece> pieces;
  for (const Json& value : values) {
    const std::string raw = value.is_string() ? value.get<std::string>() : dump_json_spaced(value);
    if (raw.find(end) != std::string::npos) {
      return unsupported(document_.at(path) + ": unsupported value in XML");
    }
    pieces.push_back(nfa.literal(raw));
  }
  return nfa.any_of(pieces);
}

}  // namespace swarm::engine::grammar
