// Oracle: the Python package jsonschema (tests/golden/tools/make_schema_cases.py).
#include <doctest/doctest.h>

#include <string>

#include "engine/base/json.h"
#include "tests/support/support.h"
#include "tools/tool.h"

namespace swarm::tools {
namespace {

std::string error_of(const char* schema, const char* value) {
  const auto result = validate_json(parse_json(schema).value(), parse_json(value).value());
  return result ? "" : result.error().message;
}

TEST_CASE("schema: agrees with an independent validator on every schema and value") {
  const Json golden = parse_json(test::read_file(test::golden("tools/schema_cases.json"))).value();
  int verdicts = 0;
  for (const Json& one : golden.at("cases")) {
    CAPTURE(one.at("schema").dump());
    const auto& valid = one.at("valid").get_ref<const std::string&>();
    for (size_t i = 0; i < valid.size(); ++i) {
      const Json& value = golden.at("values").at(i);
      CAPTURE(value.dump());
      const auto result = validate_json(one.at("schema"), value);
      if (!result) CHECK(result.error().kind == ErrorKind::invalid_input);
      CHECK(result.has_value() == (valid[i] == '1'));
      ++verdicts;
    }
  }
  CHECK(verdicts > 1500);
}

TEST_CASE("schema: the error names path, expected and found") {
  const char* order = R"({"type": "object", "required": ["lines"], "properties": {"lines":
      {"type": "array", "items": {"type": "object", "properties": {"price": {"type": "integer"},
       "unit": {"enum": ["kg", "m"]}}, "required": ["price"], "additionalProperties": false}}}})";
  CHECK(error_of(order, R"({"lines": [{"price": 1}, {"price": "2"}]})") ==
        R"($.lines[1].price: expected integer, found string "2")");
  CHECK(error_of(order, R"({"lines": [{"price": 1.5}]})") ==
        "$.lines[0].price: expected integer, found number 1.5");
  CHECK(error_of(order, R"({"lines": [{"unit": "kg"}]})") ==
        R"($.lines[0]: expected member "price", found only "unit")");
  CHECK(error_of(order, R"({"lines": [{"price": 1, "unit": "l"}]})") ==
        R"($.lines[0].unit: expected one of "kg", "m"; found "l")");
  CHECK(error_of(order, R"({"lines": [{"price": 1, "prise": 2}]})") ==
        R"($.lines[0]: expected only "price", "unit", found "prise"; did you mean "price"?)");
  CHECK(error_of(order, "[]") == "$: expected object, found array []");
  CHECK(error_of(order, "{}") == R"($: expected member "lines", found no members)");
}

TEST_CASE("schema: what cannot be checked is refused by name, never ignored") {
  for (const char* schema :
       {R"({"unevaluatedProperties": false})", R"({"$ref": "https://example.org/x"})",
        R"({"$ref": "#/nowhere"})", R"({"$ref": "#"})", R"({"pattern": "("})", R"(7)",
        R"({"type": 3})"}) {
    CAPTURE(schema);
    const auto result = validate_json(parse_json(schema).value(), Json("text"));
    REQUIRE_FALSE(result.has_value());
    CHECK(result.error().kind == ErrorKind::unsupported);
  }
}

TEST_CASE("schema: exponential and evil inputs end quickly with an error") {
  // Each level doubles the work; a pattern that backtracks without bound.
  std::string doubling = R"({"$defs": {"d0": true)";
  for (int i = 1; i < 40; ++i) {
    const std::string ref = R"({"$ref": "#/$defs/d)" + std::to_string(i - 1) + "\"}";
    doubling += ", \"d" + std::to_string(i) + R"(": {"allOf": [)" + ref + ", " + ref + "]}";
  }
  doubling += R"(}, "$ref": "#/$defs/d39"})";
  const std::string evil = R"({"pattern": "^(a+)+$"})";
  for (const std::string& schema : {doubling, evil}) {
    const auto result =
        validate_json(parse_json(schema).value(), Json(std::string(40, 'a') + "!"));
    REQUIRE_FALSE(result.has_value());
  }
}

}  // namespace
}  // namespace swarm::tools
