#include "tests/engine/grammar/schema_generator.h"

#include <string>
#include <vector>

namespace swarm::test {

Json SchemaGenerator::document() {
  Json root = schema(0);
  // Two definitions that may refer to each other; null keeps them finite.
  root["definitions"] = Json::object();
  for (const char* key : {"one", "two"}) {
    Json body = object(2);
    body.erase("required");
    root["definitions"][key] = chance(50) ? Json{{"anyOf", {Json{{"type", "null"}}, body}}} : body;
  }
  return root;
}

Json SchemaGenerator::schema(int depth) {
  const uint64_t kind = rng_.below(depth >= 3 ? 9 : 16);
  Json out;
  switch (kind) {
    case 0:
    case 1:
      return text();
    case 2:
      return number("integer");
    case 3:
      return number("number");
    case 4:
      return Json{{"type", chance(50) ? "boolean" : "null"}};
    case 5: {
      out["enum"] = Json::array();
      for (int64_t i = between(1, 4); i > 0; --i) out["enum"].push_back(value(1));
      return out;
    }
    case 6:
      return Json{{"const", value(2)}};
    case 7:
      out = text();
      out.erase("format");
      out["type"] = Json::array({"string", pick<std::string>({"null", "integer", "boolean"})});
      return out;
    case 8:
      return Json{{"$ref", chance(50) ? "#/definitions/one" : "#/definitions/two"}};
    case 9:
    case 10:
      return array(depth);
    case 11:
      return combined(depth);
    case 12:
      return tagged_union(depth);
    default:
      return object(depth);
  }
}

Json SchemaGenerator::text() {
  Json out{{"type", "string"}};
  switch (rng_.below(5)) {
    case 0: {
      const int64_t min = between(0, 4);
      if (chance(70)) out["minLength"] = min;
      if (chance(70)) out["maxLength"] = min + between(0, 6);
      break;
    }
    case 1:
      // Nothing that could read one character of several bytes: std::regex, which valijson uses,
      // counts bytes.
      out["pattern"] = pick<std::string>(
          {"^[a-z]+$", "^\\d{2,4}$", "x", "^(red|green|blue)$", "^[A-F0-9]{4}(-[A-F0-9]{2})*$",
           "^a[.]c$", "q$", "^\\w+@\\w+\\.(com|org)$", "^[B-Y]{1,3}$", "^(?:ab|cd)+e?$", "^$|^z"});
      break;
    case 2:
      out["format"] = pick<std::string>({"date", "time", "date-time", "uuid", "ipv4"});
      break;
    default:
      break;
  }
  return out;
}

Json SchemaGenerator::number(const char* type) {
  Json out{{"type", type}};
  const bool whole = std::string(type) == "integer";
  const auto bound = [&](int64_t low, int64_t high) {
    const int64_t n = between(low, high);
    if (whole && chance(80)) return Json(n);
    return Json(static_cast<double>(n) + 0.25 * static_cast<double>(rng_.below(4)));
  };
  if (chance(50)) out[chance(70) ? "minimum" : "exclusiveMinimum"] = bound(-1200, 50);
  if (chance(50)) out[chance(70) ? "maximum" : "exclusiveMaximum"] = bound(53, 100000);
  return out;
}

Json SchemaGenerator::array(int depth) {
  Json out{{"type", "array"}};
  if (chance(20)) {
    out["items"] = Json::array();
    for (int64_t i = between(1, 3); i > 0; --i) out["items"].push_back(schema(depth + 1));
    if (chance(50)) out["additionalItems"] = chance(50) ? Json(false) : schema(depth + 1);
    return out;
  }
  if (chance(85)) out["items"] = schema(depth + 1);
  const int64_t min = between(0, 2);
  if (chance(50)) out["minItems"] = min;
  if (chance(50)) out["maxItems"] = min + between(0, 3);
  return out;
}

Json SchemaGenerator::object(int depth) {
  Json out{{"type", "object"}};
  if (chance(90)) out["properties"] = Json::object();
  Json required = Json::array();
  for (int64_t i = out.contains("properties") ? between(0, 4) : 0; i > 0; --i) {
    const std::string key = name();
    if (out["properties"].contains(key)) continue;
    out["properties"][key] = schema(depth + 1);
    if (chance(40)) required.push_back(key);
  }
  if (chance(10)) required.push_back("undeclared");
  if (!required.empty()) out["required"] = required;
  if (required.empty() || required.back() != "undeclared") {
    if (chance(30)) out["additionalProperties"] = chance(40) ? Json(false) : Json(true);
  }
  if (chance(25)) out["additionalProperties"] = schema(depth + 1);
  return out;
}

// oneOf whose branches differ in a required constant.
Json SchemaGenerator::tagged_union(int depth) {
  Json out{{"oneOf", Json::array()}};
  for (const char* tag : {"a", "ab", "c"}) {
    Json branch = object(depth + 1);
    branch["properties"]["tag"] = Json{{"const", tag}};
    if (!branch.contains("required")) branch["required"] = Json::array();
    branch["required"].push_back("tag");
    out["oneOf"].push_back(branch);
  }
  return out;
}

Json SchemaGenerator::combined(int depth) {
  Json out;
  if (chance(60)) {
    out["anyOf"] = Json::array();
    for (int64_t i = between(1, 3); i > 0; --i) out["anyOf"].push_back(schema(depth + 1));
    return out;
  }
  Json left = number("number");
  Json right = number(chance(50) ? "integer" : "number");
  if (chance(50)) {
    left = object(depth + 1);
    right = object(depth + 1);
    left.erase("additionalProperties");
    right.erase("additionalProperties");
  }
  out["allOf"] = Json::array({left, right});
  return out;
}

Json SchemaGenerator::value(int depth) {
  switch (rng_.below(depth >= 2 ? 5 : 7)) {
    case 0:
      return between(-50, 50);
    case 1:
      return name();
    case 2:
      return nullptr;
    case 3:
      return chance(50);
    case 4:
      return static_cast<double>(between(-40, 40)) / 8.0;
    case 5: {
      Json list = Json::array();
      for (int64_t i = between(0, 2); i > 0; --i) list.push_back(value(depth + 1));
      return list;
    }
    default: {
      Json map = Json::object();
      for (int64_t i = between(0, 2); i > 0; --i) map[name()] = value(depth + 1);
      return map;
    }
  }
}

std::string SchemaGenerator::name() {
  return pick<std::string>({"a", "ab", "abc", "b", "name", "k", "x y", "é", "中文", "q\"uote",
                            "line\n", "", "\\", "/~", "tag2", "\x01", "😀"});
}

}  // namespace swarm::test
