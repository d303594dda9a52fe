#include "engine/grammar/schema_document.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "engine/base/utf8.h"
#include "engine/grammar/pattern.h"

namespace swarm::engine::grammar {
namespace {

constexpr int kFlattenMax = 64;

enum class Shape : uint8_t {
  text,
  number,
  count,
  schema,
  schemas,
  named_schemas,
  names,
  values,
  type,
  reference,
  any,
  schema_or_schemas,
  only_false
};

struct Keyword {
  std::string_view name;
  Shape shape;
};

constexpr std::array kKeywords{
    Keyword{"$ref", Shape::reference},
    Keyword{"additionalItems", Shape::schema},
    Keyword{"additionalProperties", Shape::schema},
    Keyword{"allOf", Shape::schemas},
    Keyword{"anyOf", Shape::schemas},
    Keyword{"const", Shape::any},
    Keyword{"enum", Shape::values},
    Keyword{"exclusiveMaximum", Shape::number},
    Keyword{"exclusiveMinimum", Shape::number},
    Keyword{"format", Shape::text},
    Keyword{"items", Shape::schema_or_schemas},
    Keyword{"maxItems", Shape::count},
    Keyword{"maxLength", Shape::count},
    Keyword{"maximum", Shape::number},
    Keyword{"minItems", Shape::count},
    Keyword{"minLength", Shape::count},
    Keyword{"minimum", Shape::number},
    Keyword{"oneOf", Shape::schemas},
    Keyword{"pattern", Shape::text},
    Keyword{"prefixItems", Shape::schemas},
    Keyword{"properties", Shape::named_schemas},
    Keyword{"required", Shape::names},
    Keyword{"type", Shape::type},
    Keyword{"uniqueItems", Shape::only_false},
};

constexpr std::array<std::string_view, 14> kAnnotations{
    "title",    "description", "default",         "examples",        "$schema",
    "$id",      "$comment",    "$defs",           "definitions",     "deprecated",
    "readOnly", "writeOnly",   "contentEncoding", "contentMediaType"};

constexpr std::array<std::string_view, 7> kTypes{"object",  "array",   "string", "number",
                                                 "integer", "boolean", "null"};

bool is_schema(const Json& value) { return value.is_object() || value.is_boolean(); }

bool is_type_name(const Json& value) {
  return value.is_string() && std::find(kTypes.begin(), kTypes.end(),
                                        value.get_ref<const std::string&>()) != kTypes.end();
}

bool all_of(const Json& value, bool (*test)(const Json&)) {
  return std::all_of(value.begin(), value.end(), test);
}

bool is_text(const Json& value) { return value.is_string(); }

// What the value should have been; empty when it is.
std::string_view expected(Shape shape, const Json& value) {
  const bool filled_array = value.is_array() && !value.empty();
  const auto unless = [](bool right, std::string_view what) {
    return right ? std::string_view{} : what;
  };
  switch (shape) {
    case Shape::text:
    case Shape::reference:
      return unless(value.is_string(), "a string");
    case Shape::number:
      return unless(value.is_number(), "a number");
    case Shape::count:
      return unless((value.is_number_unsigned() || value.is_number_integer()) && value >= Json(0) &&
                        value <= Json(1'000'000'000),
                    "a whole number from 0 to 1000000000");
    case Shape::schema:
      return unless(is_schema(value), "a schema");
    case Shape::schemas:
      return unless(filled_array && all_of(value, is_schema), "a non-empty list of schemas");
    case Shape::schema_or_schemas:
      return unless(is_schema(value) || (filled_array && all_of(value, is_schema)),
                    "a schema or a non-empty list of schemas");
    case Shape::named_schemas:
      return unless(value.is_object() && all_of(value, is_schema), "an object of schemas");
    case Shape::names:
      return unless(value.is_array() && all_of(value, is_text), "a list of strings");
    case Shape::values:
      return unless(filled_array, "a non-empty list");
    case Shape::type:
      return unless(is_type_name(value) || (filled_array && all_of(value, is_type_name)),
                    "a type name or a non-empty list of them");
    case Shape::only_false:
      return unless(value.is_boolean(), "a boolean");
    case Shape::any:
      break;
  }
  return {};
}

std::string escaped(std::string_view key) {
  std::string out;
  for (const char c : key) out += c == '~' ? "~0" : c == '/' ? "~1" : std::string(1, c);
  return out;
}

// One step of a JSON pointer in a URI fragment.
std::string unescaped(std::string_view token) {
  std::string out;
  for (size_t i = 0; i < token.size(); ++i) {
    unsigned value = 0;
    if (token[i] == '~' && i + 1 < token.size()) {
      out += token[++i] == '1' ? '/' : '~';
    } else if (token[i] == '%' && i + 2 < token.size() &&
               std::from_chars(&token[i + 1], &token[i + 1] + 2, value, 16).ptr ==
                   &token[i + 1] + 2) {
      out += static_cast<char>(value);
      i += 2;
    } else {
      out += token[i];
    }
  }
  return out;
}

size_t code_points(const std::string& text) {
  return static_cast<size_t>(
      std::count_if(text.begin(), text.end(), [](char c) { return (c & 0xC0) != 0x80; }));
}

bool is_whole(const Json& value) {
  if (!value.is_number_float()) return value.is_number();
  const auto number = value.get<double>();
  return number == static_cast<double>(static_cast<int64_t>(number)) && number < 9e15 &&
         number > -9e15;
}

bool has_type(const Json& value, std::string_view type) {
  if (type == "object") return value.is_object();
  if (type == "array") return value.is_array();
  if (type == "string") return value.is_string();
  if (type == "boolean") return value.is_boolean();
  if (type == "null") return value.is_null();
  if (type == "integer") return is_whole(value);
  return value.is_number();
}

}  // namespace

bool is_annotation(std::string_view keyword) {
  return keyword.starts_with("x-") ||
         std::find(kAnnotations.begin(), kAnnotations.end(), keyword) != kAnnotations.end();
}

Result<void> SchemaDocument::check(const Json& schema, const std::string& path) const {
  if (!schema.is_object()) return invalid_input(at(path) + ": expected a schema");
  for (const auto& [key, value] : schema.items()) {
    if (is_annotation(key)) continue;
    const auto known = std::find_if(kKeywords.begin(), kKeywords.end(),
                                    [&](const Keyword& k) { return k.name == key; });
    const std::string where = at(path + "/" + escaped(key));
    if (known == kKeywords.end()) {
      return unsupported(where + ": unsupported keyword \"" + key + "\"");
    }
    const std::string_view wanted = expected(known->shape, value);
    if (!wanted.empty()) return invalid_input(where + ": expected " + std::string(wanted));
    if (known->shape == Shape::only_false && value.get<bool>()) {
      return unsupported(where + ": unsupported keyword \"" + key + "\" (only false is)");
    }
  }
  return {};
}

Result<SchemaDocument::Target> SchemaDocument::resolve(const std::string& reference,
                                                       const std::string& path) const {
  const std::string where = at(path + "/$ref") + ": ";
  if (!reference.starts_with("#") || (reference.size() > 1 && reference[1] != '/')) {
    return unsupported(where + "unsupported keyword \"$ref\" with \"" + reference +
                       "\" (only references of the form #/... are)");
  }
  const Json* at_schema = &root_;
  std::string_view rest = std::string_view(reference).substr(1);
  while (!rest.empty()) {
    rest.remove_prefix(1);
    const size_t slash = std::min(rest.find('/'), rest.size());
    const std::string key = unescaped(rest.substr(0, slash));
    rest.remove_prefix(slash);
    size_t index = 0;
    const bool numeric =
        !key.empty() &&
        std::from_chars(key.data(), key.data() + key.size(), index).ptr == key.data() + key.size();
    if (at_schema->is_object() && at_schema->contains(key)) {
      at_schema = &(*at_schema)[key];
    } else if (at_schema->is_array() && numeric && index < at_schema->size()) {
      at_schema = &(*at_schema)[index];
    } else {
      return invalid_input(where + "nothing found at \"" + reference + "\"");
    }
  }
  return Target{at_schema, reference.substr(1)};
}

Result<Json> SchemaDocument::flatten(Json schema, const std::string& path) const {
  for (int round = 0; schema.is_object(); ++round) {
    if (round > kFlattenMax) return invalid_input(at(path) + ": refers to itself without end");
    SWARM_TRY_VOID(check(schema, path));
    if (!schema.contains("$ref") && !schema.contains("allOf")) return schema;
    std::vector<std::pair<Json, std::string>> parts;
    if (schema.contains("$ref")) {
      SWARM_TRY(const Target target, resolve(schema["$ref"].get<std::string>(), path));
      parts.emplace_back(*target.schema, target.path);
      schema.erase("$ref");
    } else {
      size_t index = 0;
      for (const Json& part : schema["allOf"]) {
        parts.emplace_back(part, path + "/allOf/" + std::to_string(index++));
      }
      schema.erase("allOf");
    }
    for (const auto& [part, part_path] : parts) {
      if (part.is_object()) SWARM_TRY_VOID(check(part, part_path));
      SWARM_TRY(std::optional<Json> merged, merge(schema, part, path));
      schema = merged ? std::move(*merged) : Json(false);
    }
  }
  return schema;
}

std::optional<std::vector<Json>> listed_values(const Json& schema) {
  if (schema.contains("const") && schema.contains("enum")) {
    std::vector<Json> both;
    for (const Json& value : schema["enum"]) {
      if (same_value(value, schema["const"])) both.push_back(value);
    }
    return both;
  }
  if (schema.contains("const")) return std::vector<Json>{schema["const"]};
  if (!schema.contains("enum")) return std::nullopt;
  return std::vector<Json>(schema["enum"].begin(), schema["enum"].end());
}

std::string content_of(const Json& schema) {
  Json kept = Json::object();
  for (const auto& [key, value] : schema.items()) {
    if (!is_annotation(key)) kept[key] = value;
  }
  return dump_json(kept);
}

std::vector<std::string> types_of(const Json& schema) {
  std::vector<std::string> types;
  if (schema.contains("type")) {
    const Json& type = schema["type"];
    if (type.is_string()) return {type.get<std::string>()};
    for (const Json& name : type) {
      const auto text = name.get<std::string>();
      if (std::find(types.begin(), types.end(), text) == types.end()) types.push_back(text);
    }
    if (std::find(types.begin(), types.end(), "number") != types.end()) {
      std::erase(types, "integer");
    }
    return types;
  }
  const auto implied = [&](std::string_view type, std::initializer_list<const char*> keywords) {
    if (std::any_of(keywords.begin(), keywords.end(),
                    [&](const char* keyword) { return schema.contains(keyword); })) {
      types.emplace_back(type);
    }
  };
  implied("object", {"properties", "required", "additionalProperties"});
  implied("array", {"items", "prefixItems", "minItems", "maxItems", "additionalItems"});
  implied("string", {"minLength", "maxLength", "pattern", "format"});
  implied("number", {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"});
  if (types.empty()) return {"object", "array", "string", "number", "boolean", "null"};
  return types;
}

NumberRange range_of(const Json& schema) {
  const auto bound = [&](const char* key) { return schema.contains(key) ? schema[key] : Json(); };
  return {.minimum = bound("minimum"),
          .maximum = bound("maximum"),
          .exclusive_minimum = bound("exclusiveMinimum"),
          .exclusive_maximum = bound("exclusiveMaximum")};
}

bool same_value(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) return a == b;
  if (a.type() != b.type() || a.size() != b.size()) return false;
  if (a.is_array()) return std::equal(a.begin(), a.end(), b.begin(), b.end(), same_value);
  if (!a.is_object()) return a == b;
  for (const auto& [key, value] : a.items()) {
    if (!b.contains(key) || !same_value(value, b[key])) return false;
  }
  return true;
}

Result<bool> SchemaDocument::admits(const Json& schema, const Json& value,
                                    const std::string& path) const {
  if (schema.contains("type")) {
    const std::vector<std::string> types = types_of(schema);
    if (std::none_of(types.begin(), types.end(),
                     [&](const std::string& type) { return has_type(value, type); })) {
      return false;
    }
  }
  if (value.is_number()) return range_of(schema).contains(value);
  if (value.is_string()) {
    const auto& text = value.get_ref<const std::string&>();
    const size_t length = code_points(text);
    if (schema.contains("minLength") && length < schema["minLength"].get<size_t>()) return false;
    if (schema.contains("maxLength") && length > schema["maxLength"].get<size_t>()) return false;
    if (!schema.contains("pattern")) return true;
    auto pattern = compile_pattern(schema["pattern"].get<std::string>(), TextCoding::raw);
    if (!pattern) return Error{pattern.error().kind, at(path) + ": " + pattern.error().message};
    return pattern->accepts(text);
  }
  for (const char* key : {"properties", "required", "additionalProperties", "items", "prefixItems",
                          "minItems", "maxItems", "additionalItems"}) {
    if (!schema.contains(key) || !(value.is_object() || value.is_array())) continue;
    return unsupported(at(path) + ": unsupported keyword \"" + std::string(key) +
                       "\" beside listed values that are objects or arrays");
  }
  return true;
}

}  // namespace swarm::engine::grammar
