// JSON Schema 2020-12 (and what draft 7 calls definitions) as far as tool arguments need it.
// Own code: Debian's valijson knows draft 7 only, reports no "found", and its package pulls Qt.
#include <algorithm>
#include <boost/regex.hpp>
#include <cmath>
#include <functional>
#include <optional>
#include <utility>

#include "engine/base/utf8.h"
#include "tools/tool.h"

namespace swarm::tools {
namespace {

constexpr int kDepthMax = 200;          // schema nesting, $ref hops included
constexpr int64_t kStepsMax = 1000000;  // sub-schemas visited: bounds exponential allOf trees
constexpr size_t kQuoteBytesMax = 60;

// Thrown inside this file only: the schema, not the value, is the problem.
struct BadSchema {
  std::string message;
};

// nullopt = valid; otherwise "path: expected ..., found ...".
using Finding = std::optional<std::string>;

std::string quote(const Json& value) {
  std::string text = dump_json(value);
  if (text.size() <= kQuoteBytesMax) return text;
  size_t keep = kQuoteBytesMax;
  while (keep > 0 && (static_cast<unsigned char>(text[keep]) & 0xc0) == 0x80) --keep;
  return text.substr(0, keep) + "...";
}

bool is_integer(const Json& value) {
  if (value.is_number_integer()) return true;
  if (!value.is_number_float()) return false;
  const double number = value.get<double>();
  return std::isfinite(number) && std::floor(number) == number;
}

std::string type_of(const Json& value) {
  if (value.is_null()) return "null";
  if (value.is_boolean()) return "boolean";
  if (value.is_string()) return "string";
  if (value.is_array()) return "array";
  if (value.is_object()) return "object";
  return is_integer(value) ? "integer" : "number";
}

std::string describe(const Json& value) {
  if (value.is_null()) return "null";
  return type_of(value) + " " + quote(value);
}

bool has_type(const Json& value, const std::string& type) {
  const std::string actual = type_of(value);
  return actual == type || (type == "number" && actual == "integer");
}

// JSON equality: 1 equals 1.0, member order is irrelevant.
bool equal(const Json& a, const Json& b) {
  if (a.is_number() && b.is_number()) return a == b;
  if (a.type() != b.type() || a.size() != b.size()) return false;
  if (a.is_object()) {
    for (const auto& [key, value] : a.items()) {
      const auto other = b.find(key);
      if (other == b.end() || !equal(value, *other)) return false;
    }
    return true;
  }
  if (a.is_array()) {
    for (size_t i = 0; i < a.size(); ++i)
      if (!equal(a[i], b[i])) return false;
    return true;
  }
  return a == b;
}

size_t code_points(const std::string& text) {
  size_t count = 0;
  for (const char c : text) count += (static_cast<unsigned char>(c) & 0xc0) != 0x80 ? 1 : 0;
  return count;
}

// Boost's matcher gives up with an exception instead of running forever.
bool matches(const std::string& pattern, const std::string& text) {
  try {
    return boost::regex_search(text, boost::regex(pattern, boost::regex::perl));
  } catch (const std::runtime_error& e) {
    throw BadSchema{"pattern " + quote(Json(pattern)) + ": " + e.what()};
  }
}

std::string unescape_pointer(std::string_view token) {
  std::string out;
  for (size_t i = 0; i < token.size(); ++i) {
    if (token[i] == '~' && i + 1 < token.size()) {
      out += token[++i] == '1' ? '/' : '~';
    } else if (token[i] == '%' && i + 2 < token.size()) {
      const std::string hex(token.substr(i + 1, 2));
      out += static_cast<char>(std::strtol(hex.c_str(), nullptr, 16));
      i += 2;
    } else {
      out += token[i];
    }
  }
  return out;
}

class Validator {
 public:
  explicit Validator(const Json& root) : root_(root) {}

  // Throws BadSchema for what check() could trip over with some value.
  void check_form(const Json& schema) {
    if (++steps_ > kStepsMax || depth_ > kDepthMax) throw BadSchema{"schema is too large or deep"};
    if (schema.is_boolean()) return;
    if (!schema.is_object()) throw BadSchema{"expected a schema object, found " + quote(schema)};
    refuse_unknown(schema);
    ++depth_;
    for (const char* keyword : {"properties", "patternProperties", "dependentSchemas"})
      if (const Json* map = get(schema, keyword))
        for (const auto& [key, one] : form(*map, map->is_object(), keyword).items()) {
          if (keyword == std::string_view("patternProperties")) matches(key, "");
          check_form(one);
        }
    for (const char* keyword : {"allOf", "anyOf", "oneOf", "prefixItems"})
      if (const Json* list = get(schema, keyword))
        for (const Json& one : form(*list, list->is_array(), keyword)) check_form(one);
    for (const char* keyword : {"additionalProperties", "additionalItems", "not", "if", "then",
                                "else", "contains", "propertyNames"})
      if (const Json* one = get(schema, keyword)) check_form(*one);
    if (const Json* items = get(schema, "items")) {
      if (!items->is_array()) check_form(*items);
      for (const Json& one : items->is_array() ? *items : Json::array()) check_form(one);
    }
    check_leaf_forms(schema);
    --depth_;
  }

  Finding check(const Json& schema, const Json& value, const std::string& path) {
    if (++steps_ > kStepsMax) throw BadSchema{"schema is too large to evaluate"};
    if (schema.is_boolean()) {
      if (schema.get<bool>()) return std::nullopt;
      return path + ": expected nothing here, found " + describe(value);
    }
    if (!schema.is_object()) throw BadSchema{"expected a schema object, found " + quote(schema)};
    if (depth_ >= kDepthMax) throw BadSchema{"schema nests too deeply or refers to itself"};
    ++depth_;
    Finding finding = check_object_form(schema, value, path);
    --depth_;
    return finding;
  }

 private:
  using Check = Finding (Validator::*)(const Json&, const Json&, const std::string&);

  static void refuse_unknown(const Json& schema) {
    for (const char* keyword : {"unevaluatedProperties", "unevaluatedItems", "$dynamicRef",
                                "$recursiveRef"})
      if (schema.contains(keyword))
        throw BadSchema{std::string("keyword \"") + keyword + "\" is not supported"};
  }

  static const Json& form(const Json& value, bool right, const char* keyword) {
    if (!right) throw BadSchema{std::string(keyword) + ": found " + quote(value)};
    return value;
  }

  void check_leaf_forms(const Json& schema) {
    static const std::vector<Json> kTypes{"object",  "array",   "string", "number",
                                          "integer", "boolean", "null"};
    if (const Json* type = get(schema, "type"))
      for (const Json& name : type->is_array() ? *type : Json::array({*type}))
        if (std::find(kTypes.begin(), kTypes.end(), name) == kTypes.end())
          throw BadSchema{"type: expected a name of a type, found " + quote(name)};
    if (const Json* names = get(schema, "required"))
      for (const Json& name : *names) form(name, names->is_array() && name.is_string(), "required");
    if (const Json* options = get(schema, "enum")) form(*options, options->is_array(), "enum");
    if (const Json* pattern = get(schema, "pattern"))
      matches(form(*pattern, pattern->is_string(), "pattern").get<std::string>(), "");
    if (const Json* reference = get(schema, "$ref")) {
      const Json& target = resolve(*reference);
      if (std::find(visited_.begin(), visited_.end(), &target) != visited_.end()) return;
      visited_.push_back(&target);
      check_form(target);
    }
  }

  Finding check_object_form(const Json& schema, const Json& value, const std::string& path) {
    refuse_unknown(schema);
    for (const Check step : {&Validator::check_type, &Validator::check_reference,
                             &Validator::check_number, &Validator::check_string,
                             &Validator::check_array, &Validator::check_contains,
                             &Validator::check_object, &Validator::check_members,
                             &Validator::check_combined, &Validator::check_conditional})
      if (Finding finding = (this->*step)(schema, value, path)) return finding;
    return std::nullopt;
  }

  Finding check_type(const Json& schema, const Json& value, const std::string& path) {
    if (const Json* type = get(schema, "type")) {
      const Json types = type->is_array() ? *type : Json::array({*type});
      bool fits = false;
      std::string wanted;
      for (const Json& name : types) {
        if (!name.is_string()) throw BadSchema{"type: expected a name, found " + quote(name)};
        fits = fits || has_type(value, name.get<std::string>());
        wanted += (wanted.empty() ? "" : " or ") + name.get<std::string>();
      }
      if (!fits) return path + ": expected " + wanted + ", found " + describe(value);
    }
    if (const Json* constant = get(schema, "const"); constant && !equal(*constant, value))
      return path + ": expected " + quote(*constant) + ", found " + quote(value);
    if (const Json* options = get(schema, "enum")) {
      std::string wanted;
      for (const Json& option : *options) {
        if (equal(option, value)) return std::nullopt;
        wanted += (wanted.empty() ? "" : ", ") + quote(option);
      }
      return path + ": expected one of " + wanted + "; found " + quote(value);
    }
    return std::nullopt;
  }

  Finding check_reference(const Json& schema, const Json& value, const std::string& path) {
    const Json* reference = get(schema, "$ref");
    if (!reference) return std::nullopt;
    return check(resolve(*reference), value, path);
  }

  const Json& resolve(const Json& reference) {
    if (!reference.is_string()) throw BadSchema{"$ref: expected a string"};
    const std::string& text = reference.get_ref<const std::string&>();
    if (text.empty() || text[0] != '#')
      throw BadSchema{"$ref " + quote(reference) + ": only references inside the schema work"};
    if (text.size() > 1 && text[1] != '/') {
      if (const Json* found = find_anchor(root_, text.substr(1), 0)) return *found;
      throw BadSchema{"$ref " + quote(reference) + ": nothing there"};
    }
    const Json* at = &root_;
    size_t begin = 2;
    while (begin <= text.size() && text.size() > 1) {
      const size_t end = std::min(text.find('/', begin), text.size());
      const std::string token = unescape_pointer(std::string_view(text).substr(begin, end - begin));
      const Json* next = nullptr;
      if (at->is_object()) next = get(*at, token);
      if (at->is_array() && !token.empty() && token.size() < 9 &&
          token.find_first_not_of("0123456789") == std::string::npos &&
          std::stoul(token) < at->size())
        next = &(*at)[std::stoul(token)];
      if (!next) throw BadSchema{"$ref " + quote(reference) + ": nothing there"};
      at = next;
      begin = end + 1;
    }
    return *at;
  }

  static const Json* find_anchor(const Json& schema, const std::string& name, int depth) {
    if (depth > kDepthMax || !schema.is_structured()) return nullptr;
    if (schema.is_object()) {
      const Json* anchor = get(schema, "$anchor");
      if (anchor && *anchor == name) return &schema;
    }
    for (const auto& item : schema)
      if (const Json* found = find_anchor(item, name, depth + 1)) return found;
    return nullptr;
  }

  Finding check_number(const Json& schema, const Json& value, const std::string& path) {
    if (!value.is_number()) return std::nullopt;
    const auto bound = [&](const char* keyword, auto holds, const char* words) -> Finding {
      const Json* limit = get(schema, keyword);
      if (!limit || !limit->is_number() || holds(value, *limit)) return std::nullopt;
      return path + ": expected a number " + words + " " + quote(*limit) + ", found " +
             quote(value);
    };
    if (auto f = bound("minimum", std::greater_equal<Json>(), ">=")) return f;
    if (auto f = bound("maximum", std::less_equal<Json>(), "<=")) return f;
    if (auto f = bound("exclusiveMinimum", std::greater<Json>(), ">")) return f;
    if (auto f = bound("exclusiveMaximum", std::less<Json>(), "<")) return f;
    const auto multiple = [](const Json& v, const Json& unit) {
      if (v.is_number_unsigned() && unit.is_number_unsigned() && unit != 0)
        return v.get<uint64_t>() % unit.get<uint64_t>() == 0;
      if (v.is_number_integer() && unit.is_number_integer() && unit != 0 && unit != -1)
        return v.get<int64_t>() % unit.get<int64_t>() == 0;
      const double ratio = v.get<double>() / unit.get<double>();
      // Decimal units (0.01) are not exact in binary: a few ulps of the quotient are allowed.
      return std::isfinite(ratio) &&
             std::abs(ratio - std::round(ratio)) <= 4e-16 * std::max(1.0, std::abs(ratio));
    };
    return bound("multipleOf", multiple, "that is a multiple of");
  }

  Finding check_string(const Json& schema, const Json& value, const std::string& path) {
    if (!value.is_string()) return std::nullopt;
    const std::string& text = value.get_ref<const std::string&>();
    if (auto f = check_count(schema, "minLength", "maxLength", "characters",
                             code_points(text), path))
      return f;
    const Json* pattern = get(schema, "pattern");
    if (!pattern || !pattern->is_string() || matches(pattern->get<std::string>(), text))
      return std::nullopt;
    return path + ": expected a string that matches " + quote(*pattern) + ", found " +
           quote(value);
  }

  Finding check_count(const Json& schema, const char* least, const char* most, const char* unit,
                      size_t count, const std::string& path) {
    const Json* min = get(schema, least);
    const Json* max = get(schema, most);
    const auto found = ", found " + std::to_string(count);
    if (min && min->is_number() && static_cast<double>(count) < min->get<double>())
      return path + ": expected at least " + quote(*min) + " " + unit + found;
    if (max && max->is_number() && static_cast<double>(count) > max->get<double>())
      return path + ": expected at most " + quote(*max) + " " + unit + found;
    return std::nullopt;
  }

  Finding check_array(const Json& schema, const Json& value, const std::string& path) {
    if (!value.is_array()) return std::nullopt;
    if (auto f = check_count(schema, "minItems", "maxItems", "items", value.size(), path)) return f;
    const Json* items = get(schema, "items");
    const Json* prefix = get(schema, "prefixItems");
    const Json* rest = items;
    if (items && items->is_array()) {  // draft 7 spelling
      prefix = items;
      rest = get(schema, "additionalItems");
    }
    const size_t fixed = prefix ? prefix->size() : 0;
    for (size_t i = 0; i < value.size(); ++i) {
      const Json* one = i < fixed ? &(*prefix)[i] : rest;
      if (!one) continue;
      if (auto f = check(*one, value[i], path + "[" + std::to_string(i) + "]")) return f;
    }
    if (const Json* unique = get(schema, "uniqueItems"); unique && *unique == true)
      for (size_t i = 0; i < value.size(); ++i)
        for (size_t j = 0; j < i; ++j)
          if (equal(value[i], value[j]))
            return path + ": expected different items, found " + quote(value[i]) + " twice";
    return std::nullopt;
  }

  Finding check_contains(const Json& schema, const Json& value, const std::string& path) {
    const Json* wanted = get(schema, "contains");
    if (!wanted || !value.is_array()) return std::nullopt;
    size_t count = 0;
    for (const Json& item : value) count += check(*wanted, item, path) ? 0 : 1;
    Json bounds = {{"minContains", 1}};
    for (const char* keyword : {"minContains", "maxContains"})
      if (const Json* limit = get(schema, keyword)) bounds[keyword] = *limit;
    return check_count(bounds, "minContains", "maxContains", "matching items", count, path);
  }

  Finding check_object(const Json& schema, const Json& value, const std::string& path) {
    if (!value.is_object()) return std::nullopt;
    if (const Json* required = get(schema, "required"))
      for (const Json& name : *required)
        if (name.is_string() && !value.contains(name.get<std::string>()))
          return path + ": expected member " + quote(name) + ", found " + members_of(value);
    if (auto f = check_count(schema, "minProperties", "maxProperties", "members", value.size(),
                             path))
      return f;
    if (const Json* dependent = get(schema, "dependentRequired"))
      for (const auto& [trigger, names] : dependent->items())
        for (const Json& name : names)
          if (value.contains(trigger) && !value.contains(name.get<std::string>()))
            return path + ": expected member " + quote(name) + " beside \"" + trigger +
                   "\", found " + members_of(value);
    if (const Json* dependent = get(schema, "dependentSchemas"))
      for (const auto& [trigger, then] : dependent->items())
        if (value.contains(trigger))
          if (auto f = check(then, value, path)) return f;
    return std::nullopt;
  }

  static std::string members_of(const Json& value) {
    std::string names;
    for (const auto& [key, unused] : value.items())
      names += (names.empty() ? "only " : ", ") + quote(Json(key));
    return names.empty() ? "no members" : names;
  }

  Finding check_members(const Json& schema, const Json& value, const std::string& path) {
    if (!value.is_object()) return std::nullopt;
    const Json* properties = get(schema, "properties");
    const Json* patterns = get(schema, "patternProperties");
    const Json* additional = get(schema, "additionalProperties");
    const Json* names = get(schema, "propertyNames");
    for (const auto& [key, member] : value.items()) {
      const std::string member_path = path + "." + key;
      if (names)
        if (auto f = check(*names, Json(key), member_path + " (its name)")) return f;
      bool known = false;
      if (const Json* one = properties ? get(*properties, key) : nullptr) {
        known = true;
        if (auto f = check(*one, member, member_path)) return f;
      }
      if (patterns)
        for (const auto& [pattern, one] : patterns->items())
          if (matches(pattern, key)) {
            known = true;
            if (auto f = check(one, member, member_path)) return f;
          }
      if (known || !additional) continue;
      if (*additional == false) return unknown_member(properties, key, path);
      if (auto f = check(*additional, member, member_path)) return f;
    }
    return std::nullopt;
  }

  static Finding unknown_member(const Json* properties, const std::string& key,
                                const std::string& path) {
    std::vector<std::string> known;
    std::string list;
    if (properties)
      for (const auto& [name, unused] : properties->items()) {
        known.push_back(name);
        list += (list.empty() ? "" : ", ") + quote(Json(name));
      }
    const std::string close = did_you_mean(key, known);
    return path + ": expected " + (list.empty() ? "no members" : "only " + list) + ", found " +
           quote(Json(key)) + (close.empty() ? "" : "; did you mean \"" + close + "\"?");
  }

  Finding check_combined(const Json& schema, const Json& value, const std::string& path) {
    if (const Json* all = get(schema, "allOf"))
      for (const Json& one : *all)
        if (auto f = check(one, value, path)) return f;
    for (const char* keyword : {"anyOf", "oneOf"}) {
      const Json* options = get(schema, keyword);
      if (!options) continue;
      size_t fitting = 0;
      std::string reasons;
      for (const Json& one : *options) {
        const Finding finding = check(one, value, path);
        if (!finding) ++fitting;
        else reasons += (reasons.empty() ? "" : "; or ") + *finding;
      }
      if (fitting == 0) return reasons.empty() ? path + ": no form is allowed" : reasons;
      if (keyword == std::string_view("oneOf") && fitting > 1)
        return path + ": expected exactly one of " + std::to_string(options->size()) +
               " forms to fit, found " + std::to_string(fitting) + " that do";
    }
    if (const Json* no = get(schema, "not"); no && !check(*no, value, path))
      return path + ": expected anything but " + quote(*no) + ", found " + quote(value);
    return std::nullopt;
  }

  Finding check_conditional(const Json& schema, const Json& value, const std::string& path) {
    const Json* condition = get(schema, "if");
    if (!condition) return std::nullopt;
    const Json* branch = get(schema, check(*condition, value, path) ? "else" : "then");
    return branch ? check(*branch, value, path) : std::nullopt;
  }

  static const Json* get(const Json& schema, const std::string& keyword) {
    const auto found = schema.find(keyword);
    return found == schema.end() ? nullptr : &*found;
  }

  const Json& root_;
  int depth_ = 0;
  int64_t steps_ = 0;
  std::vector<const Json*> visited_;  // targets of references, by check_form()
};

}  // namespace

Result<void> check_schema(const Json& schema) {
  if (!schema.is_object()) return unsupported("schema: expected an object, found " + quote(schema));
  const auto type = schema.find("type");
  if (type != schema.end() && *type != "object")
    return unsupported("schema: expected the type object, found " + quote(*type));
  try {
    Validator validator(schema);
    validator.check_form(schema);
    return {};
  } catch (const BadSchema& bad) {
    return unsupported("schema: " + bad.message);
  } catch (const Json::exception& e) {
    return unsupported(std::string("schema: ") + e.what());
  }
}

Result<void> validate_json(const Json& schema, const Json& value) {
  try {
    Validator validator(schema);
    if (Finding finding = validator.check(schema, value, "$")) return invalid_input(*finding);
    return {};
  } catch (const BadSchema& bad) {
    return unsupported("schema: " + bad.message);
  } catch (const Json::exception& e) {
    return unsupported(std::string("schema: ") + e.what());
  }
}

}  // namespace swarm::tools
