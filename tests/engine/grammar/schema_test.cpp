// What a schema generates, by tables of texts, and what it refuses to compile.
#include <doctest/doctest.h>

#include "tests/engine/grammar/fixture.h"
#include "tests/engine/grammar/validator.h"

namespace swarm::test {
namespace {

struct Case {
  const char* schema;
  std::vector<std::string> yes;
  std::vector<std::string> no;
};

void check_cases(const std::vector<Case>& cases) {
  Workbench bench(byte_vocabulary());
  for (const Case& c : cases) {
    CAPTURE(std::string(c.schema));
    const auto compiled = bench.schema_text(c.schema);
    REQUIRE_MESSAGE(compiled.has_value(), (compiled ? "" : compiled.error().message));
    const grammar::Matcher start(*compiled);
    for (const std::string& text : c.yes) {
      CAPTURE(text);
      CHECK(matches(start, text));
      CHECK(judge(c.schema, text) == "");
    }
    for (const std::string& text : c.no) {
      CAPTURE(text);
      CHECK_FALSE(matches(start, text));
    }
  }
}

}  // namespace

TEST_CASE("schema: strings are canonical JSON and valid UTF-8") {
  check_cases({
      {R"({"type": "string"})",
       {R"("")", R"("a b")", R"("\"\\\n\t\b\f\r")", R"("\u0000\u001f")", "\"é中😀\x7f\""},
       {"", "\"", "a", R"("\/")", R"("\u0041")", R"("\u001F")", "\"\n\"", "\"\xc3\"",
        "\"\xc0\x80\"", "\"\xed\xa0\x80\"", "\"\xf4\x90\x80\x80\"", "\"\xe0\x80\x80\"", "\"\xff\"",
        R"("a" )", R"( "a")"}},
      {R"({"type": "string", "minLength": 1, "maxLength": 2})",
       {R"("a")", R"("é中")", R"("\n\u0001")", "\"😀😀\""},
       {R"("")", R"("abc")", "\"😀😀a\""}},
      {R"({"type": "string", "maxLength": 0})", {R"("")"}, {R"("a")"}},
      {R"({"type": "string", "minLength": 2})", {R"("ab")", R"("abcdef")"}, {R"("a")", R"("")"}},
  });
}

TEST_CASE("schema: patterns are found anywhere unless anchored") {
  check_cases({
      {R"({"type": "string", "pattern": "^a+b?$"})",
       {R"("a")", R"("aaab")"},
       {R"("")", R"("b")", R"("ab ")", R"("xa")", R"("abb")"}},
      {R"({"type": "string", "pattern": "b"})", {R"("b")", R"("abc")"}, {R"("")", R"("ac")"}},
      {R"j({"type": "string", "pattern": "^(foo|ba[rz])"})j",
       {R"("foo")", R"("bazaar")"},
       {R"("bax")", R"(" foo")"}},
      {R"({"type": "string", "pattern": "^a|b$"})",
       {R"("ax")", R"("xb")"},
       {R"("xa")", R"("bx")", R"("")"}},
      {R"({"type": "string", "pattern": "^\\d{3}-\\w{2,}$"})",
       {R"("123-ab")", R"("000-A_9z")"},
       {R"("12-ab")", R"("123-a")", R"("123-é1")"}},
      {R"({"type": "string", "pattern": "^[^a-c\\s]$"})",
       {R"("d")", R"("\"")"},
       {R"("a")", R"(" ")", R"("\n")", R"("de")"}},
      {R"({"type": "string", "pattern": "^\\x41\\u0042\\.\\/\\-$"})",
       {R"("AB./-")"},
       {R"("AB..-")"}},
      {R"({"type": "string", "pattern": "^(?:ab){2}$"})",
       {R"("abab")"},
       {R"("ab")", R"("ababab")"}},
      {R"({"type": "string", "pattern": "^.$"})", {R"("x")", R"("\t")"}, {R"("\n")", R"("")"}},
      {R"({"type": "string", "pattern": "^[ab]*$", "minLength": 2, "maxLength": 3})",
       {R"("ab")", R"("bbb")"},
       {R"("a")", R"("abab")", R"("ac")"}},
      {R"({"type": "string", "pattern": "^$"})", {R"("")"}, {R"("a")"}},
      {R"({"type": "string", "pattern": "^a{2}$|^b\\{$"})", {R"("aa")", R"("b{")"}, {R"("b")"}},
      {R"({"type": "string", "pattern": "^[\\w.-]+@[a-z]+\\.(com|org)$"})",
       {R"("a.b-c@x.com")"},
       {R"("a@x.net")", R"("@x.com")"}},
      {R"({"type": "string", "format": "date"})",
       {R"("2024-12-31")", R"("1999-02-28")"},
       {R"("2024-02-30")", R"("2024-1-1")"}},
  });
}

TEST_CASE("schema: integers and numbers keep exactly to their ranges") {
  check_cases({
      {R"({"type": "integer"})",
       {"0", "-1", "42", "999999999999999999"},
       {"", "-", "-0", "01", "1.0", "1e3", "+1", "1000000000000000000"}},
      {R"({"type": "number"})",
       {"0", "-0", "1.5", "-0.001", "1e5", "2.5E-10", "1e99"},
       {"1.", ".5", "1e", "1e100", "01", "NaN", "-"}},
      {R"({"type": "integer", "minimum": 7})", {"7", "10", "123456"}, {"6", "0", "-7"}},
      {R"({"type": "integer", "exclusiveMinimum": 7, "maximum": 12})",
       {"8", "9", "10", "12"},
       {"7", "13", "80"}},
      {R"({"type": "integer", "minimum": -3, "maximum": 2})",
       {"-3", "-1", "0", "2"},
       {"-4", "3", "-0", "-10"}},
      {R"({"type": "integer", "minimum": 0.5, "exclusiveMaximum": 3})",
       {"1", "2"},
       {"0", "3", "-1"}},
      {R"({"type": "integer", "minimum": -9223372036854775808, "maximum": -9223372036854775807})",
       {"-9223372036854775808", "-9223372036854775807"},
       {"-9223372036854775806", "-9223372036854775809"}},
      {R"({"type": "number", "minimum": 0, "maximum": 1})",
       {"0", "1", "0.5", "0.999999", "1.0", "0.0"},
       {"1.000001", "-0.1", "2", "-0", "1.", "10"}},
      {R"({"type": "number", "exclusiveMinimum": 0.1, "exclusiveMaximum": 0.3})",
       {"0.2", "0.100001", "0.29"},
       {"0.1", "0.3", "0.10", "0.30", "0"}},
      {R"({"type": "number", "minimum": -2.5})", {"-2.5", "-2.50", "0", "7.25"}, {"-2.51", "-3"}},
      {R"({"type": "number", "maximum": 1e3})", {"1000", "999.9", "-5000"}, {"1000.1", "1001"}},
  });
}

TEST_CASE("schema: objects write declared properties in order and nothing twice") {
  check_cases({
      {R"({"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "boolean"}},
          "required": ["a"]})",
       {R"({"a": 1})", R"({"a": 1, "b": true})"},
       {"{}", R"({"b": true})", R"({"b": true, "a": 1})", R"({"a": 1, "c": 1})", R"({"a": 1, })",
        R"({ "a": 1})", R"({"a":1})", R"({"a": 1, "a": 2})"}},
      {R"({"properties": {"a": {"type": "null"}, "b": {"type": "null"}, "c": {"type": "null"}}})",
       {"{}", R"({"a": null})", R"({"b": null})", R"({"a": null, "c": null})",
        R"({"a": null, "b": null, "c": null})"},
       {R"({"c": null, "a": null})", R"({, "a": null})"}},
      {R"({"type": "object", "properties": {"a": {"type": "null"}},
          "additionalProperties": {"type": "integer"}})",
       {"{}", R"({"a": null})", R"({"b": 1})", R"({"a": null, "b": 1, "": 2, "aa": 3})"},
       {R"({"a": 1})", R"({"b": 1, "a": null})", R"({"b": 1, "b": 2})",
        R"({"b": 1, "c": 2, "b": 3})", R"({"": 1, "": 1})", R"({"b": null})"}},
      {R"({"type": "object", "additionalProperties": {"type": "object"}})",
       {R"({"a": {"a": 1, "b": {"a": 1}}, "b": {"a": 1}})", R"({"\u0000": {}, "\n": {}})"},
       {R"({"a": {"x": 1, "x": 1}})", R"({"a": {}, "b": {}, "a": {}})", R"({"\n": {}, "\n": {}})"}},
      {R"({"type": "object", "required": ["z"]})",
       {R"({"z": 1})", R"({"z": {"z": 1}, "y": null})"},
       {"{}", R"({"y": 1, "z": 1})"}},
      {R"({"type": "object", "properties": {"q\"\n": {"const": 1}}, "required": ["q\"\n"]})",
       {R"({"q\"\n": 1})"},
       {"{}"}},
      {R"({"type": "object", "properties": {}})", {"{}"}, {R"({"a": 1})"}},
  });
}

TEST_CASE("schema: arrays count their items") {
  check_cases({
      {R"({"type": "array", "items": {"type": "boolean"}})",
       {"[]", "[true]", "[true, false, true]"},
       {"[true,false]", "[ ]", "[1]", "[true, ]"}},
      {R"({"type": "array", "items": {"type": "null"}, "minItems": 1, "maxItems": 2})",
       {"[null]", "[null, null]"},
       {"[]", "[null, null, null]"}},
      {R"({"type": "array", "items": {"type": "null"}, "minItems": 2})",
       {"[null, null]", "[null, null, null, null]"},
       {"[]", "[null]"}},
      {R"({"type": "array", "items": [{"type": "null"}, {"type": "boolean"}],
          "additionalItems": {"type": "integer"}})",
       {"[]", "[null]", "[null, true, 1, 2]"},
       {"[true]", "[null, true, null]"}},
      {R"({"type": "array", "maxItems": 0})", {"[]"}, {"[1]"}},
      {R"({"type": "array", "minItems": 1})", {R"([{"a": [1, "x", null]}])"}, {"[]"}},
  });
}

TEST_CASE("schema: unions, constants and references") {
  check_cases({
      {R"({"enum": ["a", 1, null, {"k": [1, 2]}, 1.5]})",
       {R"("a")", "1", "null", R"({"k": [1, 2]})", "1.5"},
       {R"("b")", "2", "1.0"}},
      {R"({"type": "string", "enum": ["a", 1, "bcd"], "maxLength": 1})",
       {R"("a")"},
       {"1", R"("bcd")"}},
      {R"({"const": "x"})", {R"("x")"}, {R"("y")"}},
      {R"({"type": ["integer", "null", "string"], "maxLength": 1})",
       {"1", "null", R"("a")"},
       {"true", R"("ab")"}},
      {R"({"anyOf": [{"type": "integer", "maximum": 3}, {"type": "string"}]})",
       {"3", R"("x")"},
       {"4"}},
      {R"({"oneOf": [{"type": "object", "properties": {"kind": {"const": "a"},
           "x": {"type": "null"}}, "required": ["kind", "x"]}, {"type": "object",
           "properties": {"kind": {"const": "b"}}, "required": ["kind"]}]})",
       {R"({"kind": "a", "x": null})", R"({"kind": "b"})"},
       {R"({"kind": "a"})"}},
      {R"({"oneOf": [{"type": "integer", "maximum": 3}, {"type": "integer", "minimum": 4}]})",
       {"3", "4"},
       {"1.5"}},
      {R"({"type": "object", "properties": {"a": {"type": "null"}, "b": {"type": "null"}},
          "anyOf": [{"required": ["a"]}, {"required": ["b"]}]})",
       {R"({"a": null})", R"({"b": null})", R"({"a": null, "b": null})"},
       {"{}"}},
      {R"({"allOf": [{"type": "integer", "minimum": 2}, {"minimum": 1, "maximum": 3}]})",
       {"2", "3"},
       {"1", "4"}},
      {R"({"allOf": [{"properties": {"a": {"type": "integer"}}, "required": ["a"]},
          {"properties": {"a": {"minimum": 5}, "b": {"type": "null"}}}], "type": "object"})",
       {R"({"a": 5})", R"({"a": 6, "b": null})"},
       {R"({"a": 4})", "{}"}},
      {R"({"$ref": "#/definitions/n", "definitions": {"n": {"type": "object", "properties":
          {"v": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/definitions/n"},
          {"type": "null"}]}}, "required": ["v", "next"]}}})",
       {R"({"v": 1, "next": null})", R"({"v": 1, "next": {"v": 2, "next": null}})"},
       {R"({"v": 1})", R"({"v": 1, "next": {}})"}},
      {R"({"type": "array", "items": {"$ref": "#"}})", {"[]", "[[], [[]]]"}, {"[1]"}},
      {"true", {"1", "[]", R"({"a": {}})"}, {"", "x"}},
      {"{}", {"1", "null", R"([{"a": 1}])"}, {""}},
  });
}

TEST_CASE("schema: what is not supported is refused by name and place") {
  struct Refused {
    const char* schema;
    std::vector<const char*> says;
  };
  const std::vector<Refused> cases{
      {R"({"type": "object", "properties": {"a": {"type": "integer", "multipleOf": 3}}})",
       {"\"multipleOf\"", "#/properties/a/multipleOf"}},
      {R"({"not": {"type": "string"}})", {"\"not\"", "#/not"}},
      {R"({"if": true})", {"\"if\""}},
      {R"({"type": "object", "patternProperties": {"a": true}})", {"\"patternProperties\""}},
      {R"({"type": "object", "propertyNames": {"maxLength": 3}})", {"\"propertyNames\""}},
      {R"({"type": "object", "minProperties": 1})", {"\"minProperties\""}},
      {R"({"type": "object", "maxProperties": 1})", {"\"maxProperties\""}},
      {R"({"type": "object", "dependentRequired": {}})", {"\"dependentRequired\""}},
      {R"({"type": "object", "dependencies": {}})", {"\"dependencies\""}},
      {R"({"type": "object", "unevaluatedProperties": false})", {"\"unevaluatedProperties\""}},
      {R"({"type": "array", "contains": {}})", {"\"contains\""}},
      {R"({"type": "array", "uniqueItems": true})", {"\"uniqueItems\""}},
      {R"({"type": "string", "format": "regex"})", {"\"format\"", "\"regex\""}},
      {R"({"type": "integer", "frobnicate": 1})", {"\"frobnicate\""}},
      {R"({"$ref": "other.json#/a"})", {"\"$ref\"", "other.json"}},
      {R"({"$ref": "#/definitions/none"})", {"#/definitions/none"}},
      {R"({"$dynamicRef": "#a"})", {"\"$dynamicRef\""}},
      {R"j({"type": "string", "pattern": "(?=a)"})j", {"(?=", "offset 1", "#/pattern"}},
      {R"({"type": "string", "pattern": "(a)\\1"})", {"\\1", "#/pattern"}},
      {R"({"type": "string", "pattern": "\\bfoo"})", {"\\b"}},
      {R"({"type": "string", "pattern": "\\p{L}"})", {"\\p"}},
      {R"({"type": "string", "pattern": "a**"})", {"nothing to repeat"}},
      {R"({"type": "string", "pattern": "(a"})", {"missing"}},
      {R"({"type": "string", "pattern": "[a"})", {"missing"}},
      {R"({"oneOf": [{"type": "integer"}, {"type": "number"}]})", {"\"oneOf\"", "0 and 1"}},
      {R"({"type": "integer", "minimum": 4, "maximum": 3})", {"bounds"}},
      {R"({"type": "integer", "exclusiveMinimum": 3, "exclusiveMaximum": 4})", {"bounds"}},
      {R"({"type": "number", "exclusiveMinimum": 1, "maximum": 1})", {"bounds"}},
      {R"({"type": "integer", "exclusiveMinimum": true})", {"exclusiveMinimum", "a number"}},
      {R"({"type": "string", "minLength": 3, "maxLength": 2})", {"minLength"}},
      {R"({"type": "string", "minLength": -1})", {"minLength", "whole number"}},
      {R"({"type": "string", "pattern": "^ab$", "minLength": 3})", {"no text"}},
      {R"({"type": "array", "minItems": 3, "maxItems": 2})", {"minItems"}},
      {R"({"type": "strin"})", {"#/type", "type name"}},
      {R"({"enum": []})", {"#/enum"}},
      {R"({"type": "integer", "enum": ["a"]})", {"none of the listed values"}},
      {R"({"type": "object", "required": ["a"], "additionalProperties": false})", {"\"a\""}},
      {R"({"type": "object", "properties": {"a": false}, "required": ["a"]})", {"#/properties/a"}},
      {R"({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]})",
       {"no finite text"}},
      {R"({"$ref": "#"})", {"refers to itself"}},
      {R"({"anyOf": [{"$ref": "#"}, {"type": "null"}]})", {"refers to itself"}},
      {R"({"allOf": [{"$ref": "#"}]})", {"refers to itself"}},
      {R"({"allOf": [{"type": "string"}, {"type": "null"}]})", {"nothing satisfies"}},
      {R"(false)", {"nothing satisfies"}},
  };
  Workbench bench(byte_vocabulary());
  for (const Refused& c : cases) {
    CAPTURE(std::string(c.schema));
    const auto compiled = bench.schema_text(c.schema);
    REQUIRE_FALSE(compiled.has_value());
    for (const char* part : c.says) {
      CAPTURE(compiled.error().message);
      CHECK(compiled.error().message.find(part) != std::string::npos);
    }
  }
}

TEST_CASE("schema: annotations say nothing about values") {
  Workbench bench(byte_vocabulary());
  const auto compiled = bench.schema_text(
      R"({"$schema": "s", "$id": "i", "$comment": "c", "title": "t", "description": "d",
          "default": 1, "examples": [1], "deprecated": true, "readOnly": true, "writeOnly": false,
          "contentEncoding": "base64", "x-order": 3, "type": "null",
          "$defs": {}, "uniqueItems": false})");
  REQUIRE(compiled.has_value());
  CHECK(matches(grammar::Matcher(*compiled), "null"));
}

}  // namespace swarm::test
