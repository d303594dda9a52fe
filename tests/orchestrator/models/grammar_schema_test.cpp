// Wider schemas for the grammar: never narrower than the original.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "orchestrator/models/grammar_schema.h"
#include "tools/tool.h"

using namespace swarm;
using namespace swarm::models;

TEST_CASE("grammar schema: what the original allows, every wider form allows, too") {
  const std::vector<std::string> schemas{
      R"({"type":"object","properties":{"a":{"type":"string","pattern":"^x","not":{"const":"xx"}}},
          "required":["a"],"additionalProperties":false})",
      R"({"type":"object","patternProperties":{"^n_":{"type":"integer"}},
          "additionalProperties":false})",
      R"({"type":"object","oneOf":[{"required":["a"]},{"required":["b"]}]})",
      R"({"type":"object","properties":{"a":{"$ref":"#/$defs/t"}},
          "$defs":{"t":{"type":"array","items":{"type":"integer","minimum":3},
                        "uniqueItems":true}}})",
      R"({"type":"object","if":{"required":["a"]},"then":{"required":["b"]},
          "dependentRequired":{"c":["d"]},"propertyNames":{"maxLength":3}})",
      R"({"properties":{"a":{"items":[{"type":"string"},{"type":"integer"}]}},
          "allOf":[{"required":["a"]}]})"};
  const std::vector<std::string> values{
      R"({})", R"({"a":"x1"})", R"({"a":"xx"})", R"({"a":"y"})", R"({"n_1":5})", R"({"n_1":"s"})",
      R"({"b":1})", R"({"a":"x","b":1})", R"({"a":[3,4]})", R"({"a":[1]})", R"({"a":["s",1]})",
      R"({"c":1})", R"({"c":1,"d":2})", R"({"long":1})"};
  int allowed = 0;
  for (const std::string& text : schemas) {
    const Json schema = parse_json(text).value();
    for (const std::string& value_text : values) {
      const Json value = parse_json(value_text).value();
      if (!tools::validate_json(schema, value)) continue;
      ++allowed;
      for (const Width width : kWidths) {
        CAPTURE(text);
        CAPTURE(value_text);
        CAPTURE(static_cast<int>(width));
        CHECK(tools::validate_json(widened(schema, width), value).has_value());
      }
    }
  }
  CHECK(allowed > 20);
}

TEST_CASE("grammar schema: what a grammar knows stays, the rest goes") {
  const Json schema = parse_json(R"({"type":"object","properties":{"a":{"type":"string",
      "pattern":"^x","contentEncoding":"base64","not":{}}},"required":["a"],"x-note":1})").value();
  CHECK(widened(schema, Width::verbatim) == schema);
  CHECK(dump_json(widened(schema, Width::known)) ==
        R"({"type":"object","properties":{"a":{"type":"string","pattern":"^x"}},)"
        R"("required":["a"]})");
  CHECK(dump_json(widened(schema, Width::plain)) ==
        R"({"type":"object","properties":{"a":{"type":"string"}},"required":["a"]})");
  CHECK(dump_json(widened(schema, Width::any)) == R"({"type":"object"})");
}
