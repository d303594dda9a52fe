#include "engine/text/argument_types.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <initializer_list>
#include <utility>

namespace swarm::engine::text {
namespace {

// Work on one schema: references can spread out exponentially, so steps are counted, not depth.
constexpr int kStepsMax = 1000;

constexpr std::array<std::pair<std::string_view, JsonType>, 7> kTypes{
    {{"null", JsonType::null},
     {"boolean", JsonType::boolean},
     {"integer", JsonType::integer},
     {"number", JsonType::number},
     {"object", JsonType::object},
     {"array", JsonType::array},
     {"string", JsonType::string}}};

std::string unescaped(std::string_view part) {
  std::string out;
  for (size_t i = 0; i < part.size(); ++i) {
    const bool escape = part[i] == '~' && i + 1 < part.size();
    out += !escape ? part[i] : part[++i] == '1' ? '/' : '~';
  }
  return out;
}

// What a local reference (#/a/b) points to; null for every other.
const Json* resolve(const Json& reference, const Json& document) {
  if (!reference.is_string()) return nullptr;
  std::string_view rest = reference.get_ref<const std::string&>();
  if (!rest.starts_with("#")) return nullptr;
  rest.remove_prefix(1);
  const Json* at = &document;
  while (!rest.empty()) {
    if (rest[0] != '/') return nullptr;
    rest.remove_prefix(1);
    const std::string key = unescaped(rest.substr(0, rest.find('/')));
    rest.remove_prefix(std::min(rest.find('/'), rest.size()));
    size_t index = 0;
    const char* end = key.data() + key.size();
    if (at->is_object() && at->contains(key)) {
      at = &(*at)[key];
    } else if (at->is_array() && std::from_chars(key.data(), end, index).ptr == end &&
               index < at->size()) {
      at = &(*at)[index];
    } else {
      return nullptr;
    }
  }
  return at;
}

TypeSet named(const std::string& name) {
  TypeSet set = TypeSet::none();
  for (const auto& [known, type] : kTypes)
    if (known == name) set.add(type);
  if (name == "number") set.add(JsonType::integer);
  return set;
}

TypeSet type_of(const Json& value) {
  return named(value.is_number_integer() ? "integer"
               : value.is_number()       ? "number"
                                         : std::string(value.type_name()));
}

// What the keywords that belong to one type suggest where nothing names a type.
TypeSet implied(const Json& schema) {
  TypeSet set = TypeSet::none();
  const auto offer = [&](std::string_view type, std::initializer_list<const char*> keywords) {
    for (const char* keyword : keywords)
      if (schema.contains(keyword)) set = set | named(std::string(type));
  };
  offer("object", {"properties", "required", "additionalProperties"});
  offer("array", {"items", "prefixItems", "minItems", "maxItems", "additionalItems"});
  offer("string", {"minLength", "maxLength", "pattern", "format"});
  offer("number", {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"});
  return set == TypeSet::none() ? TypeSet::all() : set;
}

class SchemaWalk {
 public:
  explicit SchemaWalk(const Json& document) : document_(document) {}

  TypeSet types(const Json& schema) {
    if (!schema.is_object() || !step()) return TypeSet::all();
    TypeSet set = TypeSet::all();
    if (const auto type = schema.find("type"); type != schema.end()) set = set & declared(*type);
    if (const auto one = schema.find("const"); one != schema.end()) set = set & type_of(*one);
    if (const auto list = schema.find("enum"); list != schema.end() && list->is_array()) {
      TypeSet listed = TypeSet::none();
      for (const Json& value : *list) listed = listed | type_of(value);
      set = set & listed;
    }
    for_all(schema, [&](const Json& part) { set = set & types(part); });
    for (const char* key : {"anyOf", "oneOf"}) {
      const auto branches = schema.find(key);
      if (branches == schema.end() || !branches->is_array()) continue;
      TypeSet either = TypeSet::none();
      for (const Json& branch : *branches) either = either | types(branch);
      set = set & either;
    }
    return set == TypeSet::all() ? implied(schema) : set;
  }

  std::optional<Json> listed(const Json& schema, std::string_view text) {
    if (!schema.is_object() || !step()) return std::nullopt;
    const auto is_written_so = [&](const Json& value) {
      return value.is_string() ? value.get_ref<const std::string&>() == text
                               : dump_json_spaced(value) == text;
    };
    if (const auto one = schema.find("const"); one != schema.end())
      return is_written_so(*one) ? std::optional<Json>(*one) : std::nullopt;
    if (const auto list = schema.find("enum"); list != schema.end() && list->is_array()) {
      const auto found = std::find_if(list->begin(), list->end(), is_written_so);
      return found == list->end() ? std::nullopt : std::optional<Json>(*found);
    }
    std::optional<Json> result;
    const auto look = [&](const Json& part) {
      if (!result) result = listed(part, text);
    };
    for_all(schema, look);
    for (const char* key : {"anyOf", "oneOf"})
      if (const auto branches = schema.find(key);
          branches != schema.end() && branches->is_array())
        std::for_each(branches->begin(), branches->end(), look);
    return result;
  }

  const Json* property(const Json& schema, const std::string& name) {
    if (!schema.is_object() || !step()) return nullptr;
    if (const auto all = schema.find("properties"); all != schema.end() && all->is_object())
      if (const auto found = all->find(name); found != all->end()) return &*found;
    const Json* result = nullptr;
    for_all(schema, [&](const Json& part) {
      if (result == nullptr) result = property(part, name);
    });
    return result;
  }

 private:
  bool step() { return ++steps_ <= kStepsMax; }

  static TypeSet declared(const Json& type) {
    if (type.is_string()) return named(type.get<std::string>());
    TypeSet set = TypeSet::none();
    if (type.is_array())
      for (const Json& one : type)
        if (one.is_string()) set = set | named(one.get<std::string>());
    return set;
  }

  // The schemas that must hold beside this one.
  template <class Visit>
  void for_all(const Json& schema, Visit visit) {
    if (const auto reference = schema.find("$ref"); reference != schema.end())
      if (const Json* target = resolve(*reference, document_)) visit(*target);
    if (const auto parts = schema.find("allOf"); parts != schema.end() && parts->is_array())
      for (const Json& part : *parts) visit(part);
  }

  const Json& document_;
  int steps_ = 0;
};

}  // namespace

TypeSet possible_types(const Json& schema, const Json& document) {
  return SchemaWalk(document).types(schema);
}

std::optional<Json> find_listed(const Json& schema, const Json& document, std::string_view text) {
  return SchemaWalk(document).listed(schema, text);
}

const Json* find_property(const Json& schema, const Json& document, const std::string& name) {
  return SchemaWalk(document).property(schema, name);
}

}  // namespace swarm::engine::text
