#include "orchestrator/config/schema.h"

#include <algorithm>
#include <cmath>

#include "engine/base/check.h"
#include "engine/base/units.h"

namespace swarm::config {
namespace {

using Kind = Type::Kind;

std::string number_text(double value) {
  if (std::floor(value) == value && std::abs(value) < 1e15)
    return std::to_string(static_cast<int64_t>(value));
  return dump_json(Json(value));
}

std::string joined(const std::vector<std::string>& words) {
  std::string out;
  for (const std::string& word : words) out += (out.empty() ? "" : ", ") + word;
  return out;
}

class Validator {
 public:
  explicit Validator(std::vector<Problem>& problems) : problems_(problems) {}

  void check(const Node& node, const Type& type, const std::string& path) {
    if (node.pending) return;
    switch (type.kind) {
      case Kind::json: return;
      case Kind::object: return check_object(node, type, path);
      case Kind::map: return check_map(node, type, path);
      case Kind::list: return check_list(node, type, path);
      default: return check_scalar(node, type, path);
    }
  }

 private:
  void problem(const std::string& path, std::string message, const Place& place) {
    problems_.push_back({(path.empty() ? "" : path + ": ") + std::move(message), place});
  }
  void expected(const std::string& path, const Type& type, const Node& node) {
    problem(path, "expected " + type_text(type) + ", found " + describe(node), node.place);
  }
  static std::string below(const std::string& path, const std::string& key) {
    return path.empty() ? key : path + "." + key;
  }

  void check_object(const Node& node, const Type& type, const std::string& path) {
    if (node.kind != Node::Kind::map) return expected(path, type, node);
    for (const Node::Field& field : node.fields) {
      if (const Key* key = find_key(type, field.key)) {
        // "key:" without a value is the same as no key, when it may be left out.
        if (field.value.is_null() && !key->required && key->type.kind != Kind::json) continue;
        check(field.value, key->type, below(path, field.key));
      } else {
        unknown_key(field, type, path);
      }
    }
    for (const Key& key : type.keys)
      if (key.required && node.find(key.name) == nullptr)
        problem(path, "required key \"" + key.name + "\" is missing", node.place);
  }

  void unknown_key(const Node::Field& field, const Type& type, const std::string& path) {
    for (const auto& [name, why] : type.refused)
      if (name == field.key) return problem(below(path, field.key), why, field.place);
    std::vector<std::string> known;
    for (const Key& key : type.keys) known.push_back(key.name);
    const std::string near = did_you_mean(field.key, known);
    problem(below(path, field.key),
            "unknown key" + (near.empty() ? "; known here: " + joined(known)
                                          : "; did you mean \"" + near + "\"?"),
            field.place);
  }

  void check_map(const Node& node, const Type& type, const std::string& path) {
    if (node.kind != Node::Kind::map) return expected(path, type, node);
    if (node.fields.size() < type.items_min)
      problem(path, "expected at least " + std::to_string(type.items_min) + " entry", node.place);
    for (const Node::Field& field : node.fields) {
      if (!is_name(field.key))
        problem(path, "expected a name of letters, digits, _ and -, found " +
                          dump_json(Json(field.key)),
                field.place);
      check(field.value, type.element[0], below(path, field.key));
    }
  }

  void check_list(const Node& node, const Type& type, const std::string& path) {
    if (node.kind != Node::Kind::list) return expected(path, type, node);
    if (node.items.size() < type.items_min)
      problem(path, "expected at least " + std::to_string(type.items_min) + " entry", node.place);
    for (size_t i = 0; i < node.items.size(); ++i)
      check(node.items[i], type.element[0], path + "[" + std::to_string(i) + "]");
  }

  void check_scalar(const Node& node, const Type& type, const std::string& path) {
    if (node.kind != Node::Kind::scalar || node.scalar.is_null())
      return expected(path, type, node);
    const Json& value = node.scalar;
    bool good = false;
    switch (type.kind) {
      case Kind::text: good = value.is_string(); break;
      case Kind::boolean: good = value.is_boolean(); break;
      case Kind::scalar: good = true; break;
      case Kind::integer: good = value.is_number_integer() && in_range(value, type); break;
      case Kind::number: good = value.is_number() && in_range(value, type); break;
      case Kind::duration:
        good = value.is_string() && parse_duration(node.text()).has_value();
        break;
      case Kind::bytes:
        good = (value.is_number_integer() && value.get<int64_t>() >= 0) ||
               (value.is_string() && (contains(type.choices, node.text()) ||
                                      parse_bytes(node.text()).has_value()));
        break;
      case Kind::choice: return check_choice(node, type, path);
      default: break;
    }
    if (!good) expected(path, type, node);
  }

  void check_choice(const Node& node, const Type& type, const std::string& path) {
    if (!node.is_text()) return expected(path, type, node);
    if (contains(type.choices, node.text())) return;
    for (const auto& [name, why] : type.refused)
      if (name == node.text())
        return problem(path, "\"" + name + "\" is " + why, node.place);
    const std::string near = did_you_mean(node.text(), type.choices);
    problem(path,
            "expected " + type_text(type) + ", found " + describe(node) +
                (near.empty() ? "" : "; did you mean \"" + near + "\"?"),
            node.place);
  }

  static bool contains(const std::vector<std::string>& words, const std::string& word) {
    return std::find(words.begin(), words.end(), word) != words.end();
  }
  static bool in_range(const Json& value, const Type& type) {
    const double number = value.get<double>();
    return (type.above_min ? number > type.min : number >= type.min) && number <= type.max;
  }

  std::vector<Problem>& problems_;
};

// A scalar that is not text may be written as an expression; it is checked once it has a value.
Json or_expression(Json schema) {
  const Json expression{{"type", "string"}, {"pattern", R"(^\$\{[^{}]*\}$)"}};
  return {{"anyOf", Json::array({std::move(schema), expression})}};
}

Json schema_of(const Type& type);

Json object_schema(const Type& type) {
  Json properties = Json::object(), needed = Json::array();
  for (const Key& key : type.keys) {
    Json one = schema_of(key.type);
    if (!key.required && key.type.kind != Kind::json)
      one = {{"anyOf", Json::array({one, {{"type", "null"}}})}};
    one["description"] = key.doc;
    if (!key.fallback.is_null()) one["default"] = key.fallback;
    properties[key.name] = std::move(one);
    if (key.required) needed.push_back(key.name);
  }
  Json schema{{"type", "object"}, {"properties", properties}, {"additionalProperties", false}};
  if (!needed.empty()) schema["required"] = needed;
  return schema;
}

Json ranged(const char* kind, const Type& type) {
  Json schema{{"type", kind}};
  if (type.min > std::numeric_limits<double>::lowest())
    schema[type.above_min ? "exclusiveMinimum" : "minimum"] = type.min;
  if (type.max < std::numeric_limits<double>::max()) schema["maximum"] = type.max;
  return or_expression(std::move(schema));
}

Json schema_of(const Type& type) {
  switch (type.kind) {
    case Kind::json: return Json::object();
    case Kind::text: return {{"type", "string"}};
    case Kind::boolean: return or_expression({{"type", "boolean"}});
    case Kind::scalar: return {{"type", Json::array({"string", "number", "boolean"})}};
    case Kind::integer: return ranged("integer", type);
    case Kind::number: return ranged("number", type);
    case Kind::duration:
      return or_expression({{"type", "string"}, {"pattern", R"(^[0-9]+(\.[0-9]+)? *(ms|s|m|h)$)"}});
    case Kind::bytes:
      return or_expression(
          {{"anyOf",
            Json::array({{{"type", "integer"}, {"minimum", 0}},
                         {{"enum", type.choices}},
                         {{"type", "string"},
                          {"pattern", R"(^[0-9]+(\.[0-9]+)? *((Ki|Mi|Gi|Ti|k|K|M|G|T)?B)?$)"}}})}});
    case Kind::choice: return or_expression({{"enum", type.choices}});
    case Kind::list: {
      Json schema{{"type", "array"}, {"items", schema_of(type.element[0])}};
      if (type.items_min > 0) schema["minItems"] = type.items_min;
      return schema;
    }
    case Kind::map: {
      Json schema{{"type", "object"},
                  {"propertyNames", {{"pattern", "^[A-Za-z_][A-Za-z0-9_-]*$"}}},
                  {"additionalProperties", schema_of(type.element[0])}};
      if (type.items_min > 0) schema["minProperties"] = type.items_min;
      return schema;
    }
    case Kind::object: return object_schema(type);
  }
  return Json::object();
}

void list_type(const Type& type, const std::string& path, std::vector<ListedKey>& out) {
  if (type.kind == Kind::object) {
    for (const Key& key : type.keys) {
      const std::string below = path.empty() ? key.name : path + "." + key.name;
      out.push_back({below, &key});
      list_type(key.type, below, out);
    }
  } else if (type.kind == Kind::map) {
    list_type(type.element[0], path + ".NAME", out);
  } else if (type.kind == Kind::list) {
    list_type(type.element[0], path + "[]", out);
  }
}

}  // namespace

bool is_name(std::string_view text) {
  if (text.empty()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    const bool letter = c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
    if (!letter && (i == 0 || !(c == '-' || (c >= '0' && c <= '9')))) return false;
  }
  return true;
}

const Key* find_key(const Type& object, std::string_view name) {
  for (const Key& key : object.keys)
    if (key.name == name) return &key;
  return nullptr;
}

void validate(const Node& document, std::vector<Problem>& problems) {
  Validator(problems).check(document, root_type(), "");
}

Json json_schema() {
  Json schema{{"$schema", "https://json-schema.org/draft/2020-12/schema"},
              {"title", "A swarm (swarm/v1)"}};
  const Json root = schema_of(root_type());
  for (const auto& [key, value] : root.items()) schema[key] = value;
  return schema;
}

std::vector<ListedKey> list_keys() {
  std::vector<ListedKey> out;
  list_type(root_type(), "", out);
  return out;
}

std::string type_text(const Type& type) {
  const auto range = [&](const std::string& noun) {
    const bool low = type.min > std::numeric_limits<double>::lowest();
    const bool high = type.max < std::numeric_limits<double>::max();
    if (low && high)
      return noun + (type.above_min ? " above " : " from ") + number_text(type.min) +
             (type.above_min ? ", at most " : " to ") + number_text(type.max);
    return low ? noun + " of at least " + number_text(type.min) : noun;
  };
  switch (type.kind) {
    case Kind::text: return "text";
    case Kind::boolean: return "true or false";
    case Kind::scalar: return "text, a number, true or false";
    case Kind::integer: return range("an integer");
    case Kind::number: return range("a number");
    case Kind::duration: return "a duration such as \"30s\"";
    case Kind::bytes:
      return "bytes such as \"8GiB\"" +
             (type.choices.empty() ? "" : " or \"" + joined(type.choices) + "\"");
    case Kind::choice:
      return (type.choices.size() == 1 ? "" : "one of ") + joined(type.choices);
    case Kind::list: return "a list";
    case Kind::map:
    case Kind::object: return "a map";
    case Kind::json: return "any value";
  }
  return "a value";
}

}  // namespace swarm::config
