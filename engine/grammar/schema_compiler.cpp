#include "engine/grammar/schema_compiler.h"

#include <algorithm>
#include <utility>

#include "engine/grammar/numbers.h"
#include "engine/grammar/pattern.h"

namespace swarm::engine::grammar {
namespace {

bool is_only_reference(const Json& schema) {
  if (!schema.is_object() || !schema.contains("$ref")) return false;
  for (const auto& [key, value] : schema.items()) {
    if (key != "$ref" && !is_annotation(key)) return false;
  }
  return true;
}

std::string escaped_pointer(std::string_view key) {
  std::string out;
  for (const char c : key) out += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return out;
}

}  // namespace

Result<RuleId> SchemaCompiler::rule_for(const Json& schema, const std::string& path) {
  if (schema == Json(true)) return rules_.any_value();
  if (schema == Json(false)) return wrong(path, "nothing satisfies this schema");
  SWARM_TRY_VOID(document_.check(schema, path));
  if (is_only_reference(schema)) {
    // A chain of bare references that comes back to itself never reaches a rule.
    SWARM_TRY(const auto target, document_.resolve(schema["$ref"].get<std::string>(), path));
    if (references_ > 100) return wrong(path, "refers to itself without adding anything");
    ++references_;
    auto rule = rule_for(*target.schema, target.path);
    --references_;
    return rule;
  }
  std::string content = content_of(schema);
  if (content.find("\"$ref\"") != std::string::npos) content = name_ + " " + content;
  const auto [found, added] = rules_.known().try_emplace(content, 0);
  if (!added) return found->second;
  const RuleId rule = found->second = rules_.builder().declare(document_.at(path));
  const int references = std::exchange(references_, 0);
  SWARM_TRY(const Json flat, document_.flatten(schema, path));
  if (flat == Json(false)) return wrong(path, "nothing satisfies this schema");
  SWARM_TRY_VOID(define(rule, flat, path));
  references_ = references;
  return rule;
}

Result<void> SchemaCompiler::define(RuleId rule, const Json& flat, const std::string& path) {
  if (flat.is_boolean()) {
    SWARM_TRY(const RuleId any, rules_.any_value());
    Nfa nfa;
    SWARM_TRY(Dfa dfa, nfa.determinize(nfa.call(any)));
    return rules_.builder().define(rule, std::move(dfa));
  }
  if (flat.contains("anyOf") || flat.contains("oneOf")) return define_branches(rule, flat, path);
  if (flat.contains("enum") || flat.contains("const")) return define_listed(rule, flat, path);
  const std::vector<std::string> types = types_of(flat);
  if (types.size() == 1) {
    SWARM_TRY(Dfa dfa, of_type(flat, types[0], path));
    const bool container = types[0] == "object" || types[0] == "array";
    return rules_.builder().define(rule, std::move(dfa),
                                   container ? RuleKind::container : RuleKind::plain);
  }
  Nfa nfa;
  std::vector<Piece> pieces;
  for (const std::string& type : types) {
    SWARM_TRY(const RuleId inner, rule_of_type(flat, type, path));
    pieces.push_back(nfa.call(inner));
  }
  SWARM_TRY(Dfa dfa, nfa.determinize(nfa.any_of(pieces)));
  return rules_.builder().define(rule, std::move(dfa));
}

// Every branch holds together with what stands beside it.
Result<void> SchemaCompiler::define_branches(RuleId rule, const Json& flat,
                                             const std::string& path) {
  const char* keyword = flat.contains("anyOf") ? "anyOf" : "oneOf";
  Json rest = flat;
  const Json branches = flat[keyword];
  rest.erase(keyword);
  if (std::string_view(keyword) == "oneOf") {
    for (size_t i = 0; i < branches.size(); ++i) {
      for (size_t j = i + 1; j < branches.size(); ++j) {
        if (document_.disjoint(branches[i], branches[j], path)) continue;
        return unsupported(document_.at(path + "/oneOf") + ": unsupported keyword \"oneOf\" with " +
                           "branches " + std::to_string(i) + " and " + std::to_string(j) +
                           " that may both match; use anyOf, or tell them apart by a required " +
                           "property with different constants");
      }
    }
  }
  const bool bare = content_of(rest) == "{}";
  Nfa nfa;
  std::vector<Piece> pieces;
  for (size_t i = 0; i < branches.size(); ++i) {
    const std::string branch_path = path + "/" + keyword + "/" + std::to_string(i);
    Json branch = branches[i];
    if (branch.is_object()) SWARM_TRY_VOID(document_.check(branch, branch_path));
    if (!bare || branch.is_boolean()) {
      SWARM_TRY(const Json flat_branch, document_.flatten(branch, branch_path));
      SWARM_TRY(const std::optional<Json> both, document_.merge(rest, flat_branch, branch_path));
      if (!both) continue;
      branch = *both;
      if (branch.is_boolean() && !branch.get<bool>()) continue;
    }
    SWARM_TRY(const RuleId inner, rule_for(branch, branch_path));
    pieces.push_back(nfa.call(inner));
  }
  if (pieces.empty()) return wrong(path, "nothing satisfies this schema");
  SWARM_TRY(Dfa dfa, nfa.determinize(nfa.any_of(pieces)));
  return rules_.builder().define(rule, std::move(dfa));
}

Result<std::vector<Json>> SchemaCompiler::admitted_values(const Json& flat,
                                                          const std::string& path) {
  std::vector<Json> admitted;
  for (const Json& value : listed_values(flat).value_or(std::vector<Json>{})) {
    SWARM_TRY(const bool fine, document_.admits(flat, value, path));
    if (fine) admitted.push_back(value);
  }
  if (admitted.empty()) return wrong(path, "none of the listed values satisfies the schema");
  return admitted;
}

Result<void> SchemaCompiler::define_listed(RuleId rule, const Json& flat, const std::string& path) {
  SWARM_TRY(const std::vector<Json> values, admitted_values(flat, path));
  Nfa nfa;
  std::vector<Piece> pieces;
  for (const Json& value : values) pieces.push_back(nfa.literal(dump_json_spaced(value)));
  SWARM_TRY(Dfa dfa, nfa.determinize(nfa.any_of(pieces)));
  return rules_.builder().define(rule, std::move(dfa));
}

Result<RuleId> SchemaCompiler::rule_of_type(const Json& flat, const std::string& type,
                                            const std::string& path) {
  Json single = flat;
  single["type"] = type;
  return rule_for(single, path);
}

Result<Dfa> SchemaCompiler::of_type(const Json& flat, const std::string& type,
                                    const std::string& path) {
  if (type == "object") return object(flat, path);
  if (type == "array") return array(flat, path);
  if (type == "number" || type == "integer") return number(flat, type == "integer", path);
  if (type == "string") {
    SWARM_TRY(const Dfa body, text(flat, TextCoding::json, path));
    return quoted(body);
  }
  Nfa nfa;
  return nfa.determinize(type == "null" ? nfa.literal("null")
                                        : nfa.any_of({nfa.literal("true"), nfa.literal("false")}));
}

Result<Dfa> SchemaCompiler::number(const Json& flat, bool integer, const std::string& path) {
  NumberRange range = range_of(flat);
  if (flat.contains("format")) {
    const auto format = flat["format"].get<std::string>();
    if (format == "int32") {
      const Json low = -2147483648LL;
      const Json high = 2147483647LL;
      if (range.minimum.is_null() || range.minimum < low) range.minimum = low;
      if (range.maximum.is_null() || range.maximum > high) range.maximum = high;
    } else if (format != "int64" && format != "float" && format != "double") {
      return unsupported(document_.at(path + "/format") +
                         ": unsupported keyword \"format\" with \"" + format + "\" for a number");
    }
  }
  if (!range.bounded()) return free_number(integer);
  auto dfa = ranged_number(range, integer);
  if (!dfa) return placed(dfa.error(), path);
  return dfa;
}

// The characters of a string, without quotes.
Result<Dfa> SchemaCompiler::text(const Json& flat, TextCoding coding, const std::string& path) {
  const auto count = [&](const char* key, int64_t otherwise) {
    return flat.contains(key) ? flat[key].get<int64_t>() : otherwise;
  };
  const int64_t min = count("minLength", 0);
  const int64_t max = count("maxLength", -1);
  if (max >= 0 && min > max) return wrong(path, "minLength is above maxLength");
  auto body = text_of_length(min, max, coding);
  if (!body) return placed(body.error(), path + (max >= 0 ? "/maxLength" : "/minLength"));
  std::vector<std::pair<std::string, std::string>> patterns;  // expression, where it came from
  if (flat.contains("pattern")) {
    patterns.emplace_back(flat["pattern"].get<std::string>(), path + "/pattern");
  }
  if (flat.contains("format")) {
    const auto format = flat["format"].get<std::string>();
    const char* expression = format_pattern(format);
    if (expression == nullptr) {
      return unsupported(document_.at(path + "/format") +
                         ": unsupported keyword \"format\" with \"" + format + "\"");
    }
    patterns.emplace_back(expression, path + "/format");
  }
  for (const auto& [expression, where] : patterns) {
    auto pattern = compile_pattern(expression, coding);
    if (!pattern) return placed(pattern.error(), where);
    auto both = intersect(*body, *pattern);
    if (!both) return placed(both.error(), where);
    body = std::move(both);
    if (body->empty()) return wrong(where, "no text has this form and the given length");
  }
  return body;
}

Result<std::vector<SchemaCompiler::Property>> SchemaCompiler::properties(const Json& flat,
                                                                         const std::string& path) {
  std::vector<Property> all;
  const Json none = Json::array();
  const Json& required = flat.contains("required") ? flat["required"] : none;
  const auto is_required = [&](const std::string& name) {
    return std::find(required.begin(), required.end(), Json(name)) != required.end();
  };
  if (flat.contains("properties")) {
    for (const auto& [name, schema] : flat["properties"].items()) {
      const std::string where = path + "/properties/" + escaped_pointer(name);
      const bool must = is_required(name);
      if (schema == Json(false)) {
        if (must) return wrong(where, "a required property that nothing satisfies");
        continue;
      }
      all.push_back({name, &schema, where, must});
    }
  }
  for (const Json& entry : required) {
    const auto name = entry.get<std::string>();
    if (std::any_of(all.begin(), all.end(), [&](const Property& p) { return p.name == name; })) {
      continue;
    }
    const Json* rest =
        flat.contains("additionalProperties") ? &flat["additionalProperties"] : nullptr;
    if (rest != nullptr && *rest == Json(false)) {
      return wrong(path + "/required",
                   "\"" + name + "\" is required, but additionalProperties forbids it");
    }
    all.push_back({name, rest, path + "/additionalProperties", true});
  }
  return all;
}

Result<std::optional<RuleId>> SchemaCompiler::additional(const Json& flat,
                                                         const std::string& path) {
  if (!flat.contains("additionalProperties")) {
    if (flat.contains("properties")) return std::optional<RuleId>{};
    SWARM_TRY(const RuleId any, rules_.any_value());
    return std::optional<RuleId>{any};
  }
  const Json& schema = flat["additionalProperties"];
  if (schema == Json(false)) return std::optional<RuleId>{};
  SWARM_TRY(const RuleId rule, rule_for(schema, path + "/additionalProperties"));
  return std::optional<RuleId>{rule};
}

Result<Dfa> SchemaCompiler::object(const Json& flat, const std::string& path) {
  SWARM_TRY(const std::vector<Property> declared, properties(flat, path));
  SWARM_TRY(const std::optional<RuleId> extra, additional(flat, path));
  // none: nothing written yet; some: the next member needs a comma first.
  Nfa nfa;
  const Piece open = nfa.literal("{");
  StateId none = open.end;
  StateId some = nfa.add_state();
  const auto member = [&](StateId from_none, StateId from_some, Piece body, StateId to) {
    const Piece comma = nfa.literal(", ");
    nfa.add_epsilon(from_none, body.start);
    nfa.add_epsilon(from_some, comma.start);
    nfa.add_epsilon(comma.end, body.start);
    nfa.add_epsilon(body.end, to);
  };
  std::vector<std::string> names;
  for (const Property& property : declared) {
    RuleId value = 0;
    if (property.schema == nullptr) {
      SWARM_TRY(value, rules_.any_value());
    } else {
      SWARM_TRY(value, rule_for(*property.schema, property.path));
    }
    names.push_back(json_characters(property.name));
    const Piece body = nfa.sequence({nfa.literal("\"" + names.back() + "\": "), nfa.call(value)});
    const StateId next_none = nfa.add_state();
    const StateId next_some = nfa.add_state();
    member(none, some, body, next_some);
    if (!property.required) {
      nfa.add_epsilon(none, next_none);
      nfa.add_epsilon(some, next_some);
    }
    none = next_none;
    some = next_some;
  }
  if (extra) {
    // Forbidden are all declared names, also those whose schema is false.
    if (flat.contains("properties")) {
      for (const auto& [name, schema] : flat["properties"].items()) {
        const std::string key = json_characters(name);
        if (std::find(names.begin(), names.end(), key) == names.end()) names.push_back(key);
      }
    }
    SWARM_TRY(const RuleId key, rules_.key_except(names));
    const Piece body =
        nfa.sequence({nfa.literal("\""), nfa.call(key), nfa.literal(": "), nfa.call(*extra)});
    member(none, some, body, some);
  }
  const Piece close = nfa.literal("}");
  nfa.add_epsilon(none, close.start);
  nfa.add_epsilon(some, close.start);
  auto dfa = nfa.determinize({open.start, close.end});
  if (!dfa) return placed(dfa.error(), path);
  return dfa;
}

Result<Dfa> SchemaCompiler::array(const Json& flat, const std::string& path) {
  constexpr int64_t kCountMax = 20'000;  // counted positions, a few states each
  const auto count = [&](const char* key, int64_t otherwise) {
    return flat.contains(key) ? flat[key].get<int64_t>() : otherwise;
  };
  const bool old_tuple = flat.contains("items") && flat["items"].is_array();
  const char* tuple_key = old_tuple ? "items" : "prefixItems";
  const char* rest_key = old_tuple ? "additionalItems" : "items";
  std::vector<RuleId> tuple;
  if (flat.contains(tuple_key)) {
    for (const Json& schema : flat[tuple_key]) {
      const std::string where = path + "/" + tuple_key + "/" + std::to_string(tuple.size());
      SWARM_TRY(const RuleId rule, rule_for(schema, where));
      tuple.push_back(rule);
    }
  }
  const int64_t min = count("minItems", 0);
  int64_t max = count("maxItems", -1);
  if (max >= 0 && min > max) return wrong(path, "minItems is above maxItems");
  const bool closed = flat.contains(rest_key) ? flat[rest_key] == Json(false) : !tuple.empty();
  const auto tuple_size = static_cast<int64_t>(tuple.size());
  if (closed && min > tuple_size) return wrong(path, "minItems is above the number of items");
  if (closed) max = max < 0 ? tuple_size : std::min(max, tuple_size);
  std::optional<RuleId> rest;
  if (!closed && (max < 0 || max > tuple_size)) {
    SWARM_TRY(rest, flat.contains(rest_key) ? rule_for(flat[rest_key], path + "/" + rest_key)
                                            : rules_.any_value());
  }
  if (std::max(min, max) > kCountMax) {
    return unsupported(document_.at(path) + ": unsupported: more than " +
                       std::to_string(kCountMax) + " items to count");
  }
  Nfa nfa;
  const Piece open = nfa.literal("[");
  const Piece close = nfa.literal("]");
  StateId at = open.end;
  const int64_t counted = max >= 0 ? max : std::max<int64_t>({min, tuple_size, 1});
  for (int64_t i = 0; i < counted; ++i) {
    if (i >= min) nfa.add_epsilon(at, close.start);
    const RuleId rule = i < tuple_size ? tuple[static_cast<size_t>(i)] : *rest;
    const Piece item = i == 0 ? nfa.call(rule) : nfa.sequence({nfa.literal(", "), nfa.call(rule)});
    nfa.add_epsilon(at, item.start);
    at = item.end;
  }
  nfa.add_epsilon(at, close.start);
  if (max < 0) {
    const Piece more = nfa.sequence({nfa.literal(", "), nfa.call(*rest)});
    nfa.add_epsilon(at, more.start);
    nfa.add_epsilon(more.end, at);
  }
  auto dfa = nfa.determinize({open.start, close.end});
  if (!dfa) return placed(dfa.error(), path);
  return dfa;
}

}  // namespace swarm::engine::grammar
