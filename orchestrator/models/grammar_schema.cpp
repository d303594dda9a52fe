#include "orchestrator/models/grammar_schema.h"

#include <algorithm>
#include <string>
#include <string_view>

namespace swarm::models {
namespace {

constexpr int kDepthMax = 100;

// What grammars know (engine/grammar/schema_document.cpp), without annotations.
constexpr std::array<std::string_view, 25> kKnown{
    "$ref", "$defs", "definitions", "additionalProperties", "allOf", "anyOf", "const", "enum",
    "exclusiveMaximum", "exclusiveMinimum", "format", "items", "maxItems", "maxLength", "maximum",
    "minItems", "minLength", "minimum", "oneOf", "pattern", "prefixItems", "properties",
    "required", "type", "additionalItems"};
// Form without content: no bounds, patterns or conjunctions.
constexpr std::array<std::string_view, 11> kPlain{
    "$ref",  "$defs", "definitions", "additionalProperties", "anyOf", "const",
    "enum",  "items", "properties",  "required",             "type"};

template <size_t N>
bool is_one_of(std::string_view key, const std::array<std::string_view, N>& keys) {
  return std::find(keys.begin(), keys.end(), key) != keys.end();
}

class Widener {
 public:
  explicit Widener(Width width) : width_(width) {}

  Json schema(const Json& from, int depth) const {
    if (!from.is_object()) return from;
    if (depth > kDepthMax) return true;
    Json out = Json::object();
    // Without its patterns, "nothing else" would refuse what they allow.
    const bool patterns = from.contains("patternProperties");
    for (const auto& [key, value] : from.items()) {
      const bool kept = width_ == Width::known ? is_one_of(key, kKnown) : is_one_of(key, kPlain);
      // One of several is at least any of them.
      if (width_ == Width::plain && key == "oneOf" && !from.contains("anyOf"))
        out["anyOf"] = list(value, depth);
      if (!kept || (patterns && key == "additionalProperties")) continue;
      if (key == "items" && width_ == Width::plain && !value.is_object()) continue;
      out[key] = member(key, value, depth);
    }
    return out;
  }

 private:
  Json member(std::string_view key, const Json& value, int depth) const {
    if (key == "properties" || key == "$defs" || key == "definitions") return named(value, depth);
    if (key == "allOf" || key == "anyOf" || key == "oneOf" || key == "prefixItems")
      return list(value, depth);
    if (key == "items") return value.is_array() ? list(value, depth) : schema(value, depth + 1);
    if (key == "additionalProperties" || key == "additionalItems")
      return schema(value, depth + 1);
    return value;
  }
  Json named(const Json& map, int depth) const {
    if (!map.is_object()) return map;
    Json out = Json::object();
    for (const auto& [key, value] : map.items()) out[key] = schema(value, depth + 1);
    return out;
  }
  Json list(const Json& items, int depth) const {
    if (!items.is_array()) return items;
    Json out = Json::array();
    for (const Json& item : items) out.push_back(schema(item, depth + 1));
    return out;
  }

  Width width_;
};

}  // namespace

Json widened(const Json& schema, Width width) {
  if (width == Width::verbatim) return schema;
  if (width == Width::any || !schema.is_object()) return Json{{"type", "object"}};
  Json out = Widener(width).schema(schema, 0);
  if (!out.contains("type")) out["type"] = "object";
  return out;
}

}  // namespace swarm::models
