// Merging schemas that must hold together, and proving that two can not.
#include <algorithm>

#include "engine/grammar/schema_document.h"

namespace swarm::engine::grammar {
namespace {

constexpr int kDisjointNestingMax = 8;
constexpr size_t kProductMax = 64;

Json both_of(const Json& a, const Json& b) {
  Json all = Json::object();
  all["allOf"] = Json::array({a, b});
  return all;
}

Json common_types(const Json& a, const Json& b) {
  const auto list = [](const Json& type) { return type.is_array() ? type : Json::array({type}); };
  Json common = Json::array();
  for (const Json& x : list(a)) {
    for (const Json& y : list(b)) {
      Json both;
      if (x == y || (x == "integer" && y == "number")) both = x;
      if (x == "number" && y == "integer") both = y;
      if (!both.is_null() && std::find(common.begin(), common.end(), both) == common.end()) {
        common.push_back(both);
      }
    }
  }
  return common;
}

Json common_values(const Json& a, const Json& b) {
  Json common = Json::array();
  for (const Json& value : a) {
    if (std::any_of(b.begin(), b.end(), [&](const Json& v) { return same_value(v, value); })) {
      common.push_back(value);
    }
  }
  return common;
}

bool is_lower_bound(const std::string& key) {
  return key.starts_with("min") || key == "exclusiveMinimum";
}
bool is_upper_bound(const std::string& key) {
  return key.starts_with("max") || key == "exclusiveMaximum";
}

const Json& property(const Json& schema, const std::string& name) {
  static const Json kNone;
  if (!schema.contains("properties") || !schema["properties"].contains(name)) return kNone;
  return schema["properties"][name];
}

bool requires_property(const Json& schema, const std::string& name) {
  if (!schema.contains("required")) return false;
  const Json& names = schema["required"];
  return std::find(names.begin(), names.end(), Json(name)) != names.end();
}

}  // namespace

// properties, required and additionalProperties constrain each other, so they merge together.
Result<bool> SchemaDocument::merge_objects(Json& into, const Json& b, const std::string&) const {
  const Json a = into;
  Json properties = Json::object();
  // What the other side says of a property that only one side declares.
  const auto add = [&](const std::string& name, const Json& schema, const Json& other) {
    const Json& same = property(other, name);
    if (properties.contains(name)) return;
    if (!same.is_null()) {
      properties[name] = same == schema ? schema : both_of(schema, same);
    } else if (other.contains("additionalProperties") &&
               other["additionalProperties"] != Json(true)) {
      const Json& rest = other["additionalProperties"];
      properties[name] = rest == Json(false) ? rest : both_of(schema, rest);
    } else {
      properties[name] = schema;
    }
  };
  if (a.contains("properties")) {
    for (const auto& [name, schema] : a["properties"].items()) add(name, schema, b);
  }
  if (b.contains("properties")) {
    for (const auto& [name, schema] : b["properties"].items()) add(name, schema, a);
  }
  if (a.contains("properties") || b.contains("properties")) into["properties"] = properties;
  if (b.contains("required")) {
    if (!into.contains("required")) into["required"] = Json::array();
    for (const Json& name : b["required"]) {
      if (!requires_property(into, name.get<std::string>())) into["required"].push_back(name);
    }
  }
  if (b.contains("additionalProperties")) {
    const Json& rest = b["additionalProperties"];
    if (!a.contains("additionalProperties") || a["additionalProperties"] == Json(true)) {
      into["additionalProperties"] = rest;
    } else if (rest == Json(false)) {
      into["additionalProperties"] = false;
    } else if (rest != Json(true) && a["additionalProperties"] != Json(false)) {
      into["additionalProperties"] = both_of(a["additionalProperties"], rest);
    }
  }
  return true;
}

// One keyword that stands in both. Returns nullopt if nothing satisfies both, else null.
Result<std::optional<Json>> SchemaDocument::merge_keyword(Json& into, const std::string& key,
                                                          const Json& value,
                                                          const std::string& path) const {
  const std::optional<Json> fine = Json();
  Json& mine = into[key];
  if (mine == value) return fine;
  if (key == "type") {
    mine = common_types(mine, value);
    if (mine.empty()) return std::optional<Json>{};
    return fine;
  }
  if (key == "enum") {
    mine = common_values(mine, value);
    if (mine.empty()) return std::optional<Json>{};
    return fine;
  }
  if (key == "const") {
    if (same_value(mine, value)) return fine;
    return std::optional<Json>{};
  }
  if (is_lower_bound(key) || is_upper_bound(key)) {
    if (is_lower_bound(key) ? value > mine : value < mine) mine = value;
    return fine;
  }
  if (key == "items" && !mine.is_array() && !value.is_array()) {
    mine = both_of(mine, value);
    return fine;
  }
  if (key == "anyOf" && mine.size() * value.size() <= kProductMax) {
    Json product = Json::array();
    for (const Json& x : mine) {
      for (const Json& y : value) product.push_back(both_of(x, y));
    }
    mine = std::move(product);
    return fine;
  }
  return unsupported(at(path) + ": unsupported: two different \"" + key +
                     "\" that must hold together");
}

Result<std::optional<Json>> SchemaDocument::merge(const Json& a, const Json& b,
                                                  const std::string& path) const {
  if (a == Json(false) || b == Json(false)) return std::optional<Json>{};
  if (b == Json(true)) return std::optional<Json>{a};
  if (a == Json(true)) return std::optional<Json>{b};
  Json merged = a;
  SWARM_TRY_VOID(merge_objects(merged, b, path));
  // Items beyond a tuple mean different places in the two schemas.
  for (const char* tuple : {"prefixItems", "additionalItems"}) {
    const bool clash = (a.contains(tuple) && (b.contains("items") || b.contains(tuple))) ||
                       (b.contains(tuple) && a.contains("items"));
    if (clash && a != b) {
      return unsupported(at(path) + ": unsupported: \"" + tuple +
                         "\" together with other item schemas");
    }
  }
  for (const auto& [key, value] : b.items()) {
    if (is_annotation(key) || key == "properties" || key == "required" ||
        key == "additionalProperties") {
      continue;
    }
    if (key == "$ref" || key == "allOf") {
      // Still to be flattened: keep it to one side by nesting.
      Json rest = Json::object();
      rest[key] = value;
      if (!merged.contains("allOf")) merged["allOf"] = Json::array();
      merged["allOf"].push_back(rest);
    } else if (!merged.contains(key)) {
      merged[key] = value;
    } else {
      SWARM_TRY(const std::optional<Json> kept, merge_keyword(merged, key, value, path));
      if (!kept) return std::optional<Json>{};
    }
  }
  return std::optional<Json>{std::move(merged)};
}

bool SchemaDocument::disjoint(const Json& a, const Json& b, const std::string& path) const {
  return never_valid(a, b, path, 0) && never_valid(b, a, path, 0);
}

namespace {

// Bounds of whole numbers (lengths, item counts): generated may have at most `most` where the other
// asks for at least `least`.
bool counts_apart(const Json& generated, const Json& other, const char* min, const char* max) {
  const auto below = [](const Json& a, const Json& b, const char* upper, const char* lower) {
    return a.contains(upper) && b.contains(lower) && a[upper] < b[lower];
  };
  return below(generated, other, max, min) || below(other, generated, max, min);
}

bool ranges_apart(const Json& a, const Json& b) {
  const auto below = [](const Json& low, const Json& high) {
    NumberRange floor = range_of(high);
    floor.maximum = floor.exclusive_maximum = Json();
    const NumberRange range = range_of(low);
    if (!range.maximum.is_null() && !floor.contains(range.maximum)) return true;
    if (range.exclusive_maximum.is_null()) return false;
    return !floor.contains(range.exclusive_maximum) ||
           (!floor.minimum.is_null() && same_value(floor.minimum, range.exclusive_maximum));
  };
  return below(a, b) || below(b, a);
}

bool types_apart(const std::vector<std::string>& a, const std::vector<std::string>& b) {
  const auto overlap = [](const std::string& x, const std::string& y) {
    return x == y || (x == "integer" && y == "number") || (x == "number" && y == "integer");
  };
  return std::none_of(a.begin(), a.end(), [&](const std::string& x) {
    return std::any_of(b.begin(), b.end(), [&](const std::string& y) { return overlap(x, y); });
  });
}

}  // namespace

bool SchemaDocument::never_valid(const Json& generated, const Json& other, const std::string& path,
                                 int nesting) const {
  if (nesting > kDisjointNestingMax) return false;
  auto flat_g = flatten(generated, path);
  auto flat_o = flatten(other, path);
  if (!flat_g || !flat_o) return false;
  const Json& g = *flat_g;
  const Json& o = *flat_o;
  if (g == Json(false) || o == Json(false)) return true;
  if (!g.is_object() || !o.is_object()) return false;
  for (const char* key : {"anyOf", "oneOf"}) {
    const auto all = [&](const Json& branches, auto test) {
      return std::all_of(branches.begin(), branches.end(), test);
    };
    if (g.contains(key) &&
        all(g[key], [&](const Json& branch) { return never_valid(branch, o, path, nesting + 1); }))
      return true;
    if (o.contains(key) &&
        all(o[key], [&](const Json& branch) { return never_valid(g, branch, path, nesting + 1); }))
      return true;
  }
  const auto g_values = listed_values(g);
  const auto o_values = listed_values(o);
  if (g_values && o_values && common_values(Json(*g_values), Json(*o_values)).empty()) return true;
  const auto none_admitted = [&](const std::vector<Json>& values, const Json& schema) {
    return std::all_of(values.begin(), values.end(), [&](const Json& value) {
      const auto admitted = admits(schema, value, path);
      return admitted && !*admitted;
    });
  };
  if (g_values && none_admitted(*g_values, o)) return true;
  if (o_values && none_admitted(*o_values, g)) return true;
  const std::vector<std::string> types = types_of(g);
  if (o.contains("type") && types_apart(types, types_of(o))) return true;
  if (types.size() != 1) return false;
  if (types[0] == "string") return counts_apart(g, o, "minLength", "maxLength");
  if (types[0] == "array") return counts_apart(g, o, "minItems", "maxItems");
  if (types[0] == "number" || types[0] == "integer") return ranges_apart(g, o);
  return types[0] == "object" && objects_apart(g, o, path, nesting);
}

// A text of g has its required properties and, unless g is open, no undeclared ones.
bool SchemaDocument::objects_apart(const Json& g, const Json& o, const std::string& path,
                                   int nesting) const {
  const bool open = g.contains("additionalProperties") ? g["additionalProperties"] != Json(false)
                                                       : !g.contains("properties");
  if (o.contains("required") && !open) {
    for (const Json& name : o["required"]) {
      const auto text = name.get<std::string>();
      if (property(g, text).is_null() && !requires_property(g, text)) return true;
    }
  }
  if (!g.contains("required")) return false;
  for (const Json& name : g["required"]) {
    const auto text = name.get<std::string>();
    const Json& mine = property(g, text);
    const Json& theirs = property(o, text);
    if (!mine.is_null() && !theirs.is_null() && never_valid(mine, theirs, path, nesting + 1)) {
      return true;
    }
    if (theirs.is_null() && o.contains("additionalProperties") &&
        o["additionalProperties"] == Json(false)) {
      return true;
    }
  }
  return false;
}

}  // namespace swarm::engine::grammar
