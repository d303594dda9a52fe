// What MCP servers want to know of the person at the terminal: the whole program at a
// pseudo-terminal, and what is made of single lines.
#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "engine/base/json.h"
#include "orchestrator/cli/elicit.h"
#include "tests/orchestrator/cli/terminal.h"
#include "tests/support/process.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::test;
using namespace std::chrono_literals;

namespace {

// The fixture asks; its result is what it was answered.
std::vector<std::string> call_that_asks(const Json& params) {
  return {SWARM_PROGRAM, "mcp", "call", "ask", "--arguments",
          dump_json({{"method", "elicitation/create"}, {"params", params}}), "--protocol", "legacy",
          "--", MCP_FIXTURE_SERVER, "curious"};
}

Json form() {
  return Json{{"message", "book\x1b[2J a\ntable"},
              {"requestedSchema",
               {{"type", "object"},
                {"properties",
                 {{"name", {{"type", "string"}, {"minLength", 2}}},
                  {"people", {{"type", "integer"}, {"minimum", 1}, {"maximum", 8}}},
                  {"room", {{"type", "string"}, {"enum", {"in", "out"}},
                            {"enumNames", {"inside", "outside"}}}},
                  {"note", {{"type", "string"}, {"default", "none"}}}}},
                {"required", {"name", "people"}}}}};
}

std::string problem(const Json& schema, const std::string& typed) {
  const auto value = cli::field_value(schema, typed);
  return value ? "" : value.error().message;
}

}  // namespace

TEST_CASE("elicit: a form is asked field by field, wrong lines again, and sent after a yes") {
  Terminal terminal(call_that_asks(form()));
  REQUIRE(terminal.sees("server server asks: book[2J a table"));
  REQUIRE(terminal.sees("name (string, at least 2 characters, required)"));
  terminal.type("\n");
  REQUIRE(terminal.sees("expected"));
  terminal.type("Ada\n");
  REQUIRE(terminal.sees("people (integer, from 1, up to 8, required)"));
  terminal.type("many\n");
  REQUIRE(terminal.sees("expected a number, found \"many\""));
  terminal.type("9\n");
  REQUIRE(terminal.sees("found 9"));
  terminal.type("3\n");
  REQUIRE(terminal.sees("2 = outside"));
  terminal.type("2\n");
  REQUIRE(terminal.sees("note (string, unset = none)"));
  terminal.type("\n");
  REQUIRE(terminal.sees("send this to server? y = yes, N = no"));
  terminal.type("y\n");
  CHECK(terminal.sees(R"({"action":"accept","content":{"name":"Ada","people":3,"room":"out",)"
                      R"("note":"none"}})"));
  CHECK(terminal.ended() == 0);
  CHECK(terminal.is_as_before());
}

TEST_CASE("elicit: a form of the wrong shape is a form without fields") {
  for (const Json& schema : {Json("x"), Json{{"properties", "x"}, {"required", 7}},
                             Json{{"properties", {{"a", "x"}}}, {"required", {{"a", 1}}}}}) {
    CAPTURE(dump_json(schema));
    Terminal terminal(call_that_asks({{"message", 7}, {"requestedSchema", schema}}));
    if (schema.dump().find("\"a\"") != std::string::npos) {
      REQUIRE(terminal.sees("a (text)"));
      terminal.type("\n");
    }
    REQUIRE(terminal.sees("send this to server? y = yes, N = no"));
    terminal.type("n\n");
    CHECK(terminal.sees("decline"));
  }
}

TEST_CASE("elicit: no, /decline, /cancel and the end of the input send nothing") {
  struct Case {
    const char *typed, *action;
  };
  for (const Case& one : {Case{"/decline\n", "decline"}, Case{"/cancel\n", "cancel"},
                          Case{"\x04", "cancel"}, Case{"Ada\n2\n\n\nn\n", "decline"},
                          Case{"Ada\n2\n\n\n\n", "decline"}}) {
    CAPTURE(std::string(one.typed));
    Terminal terminal(call_that_asks(form()));
    REQUIRE(terminal.sees("name (string"));
    terminal.type(one.typed);
    CHECK(terminal.sees("{\"action\":\"" + std::string(one.action) + "\"}"));
    CHECK(terminal.ended() == 0);
    CHECK(terminal.is_as_before());
  }
}

TEST_CASE("elicit: a page is named with its host and opened by nobody but the person") {
  const Json page{{"mode", "url"}, {"message", "sign in"}, {"elicitationId", "e1"},
                  {"url", "http://good.example@xn--bd-xka.example/a?b=\xC3\xA4"}};
  for (const bool yes : {true, false}) {
    Terminal terminal(call_that_asks(page));
    REQUIRE(terminal.sees("asks you to open a page: sign in"));
    REQUIRE(terminal.sees("http://good.example@xn--bd-xka.example/a?b=%C3%A4"));
    REQUIRE(terminal.sees("at host xn--bd-xka.example"));
    REQUIRE(terminal.sees("warning: what stands before the @"));
    REQUIRE(terminal.sees("letters of other scripts"));
    REQUIRE(terminal.sees("not be encrypted"));
    REQUIRE(terminal.sees("going on? y = yes, N = no"));
    terminal.type(yes ? "y\n" : "\n");
    CHECK(terminal.sees(yes ? R"({"action":"accept"})" : R"({"action":"decline"})"));
    CHECK(terminal.ended() == 0);
  }
  Terminal terminal(call_that_asks(Json{{"mode", "url"}, {"url", "file:///etc/passwd"}}));
  CHECK(terminal.sees("\"code\":-32602"));
  CHECK(terminal.ended() == 0);
}

TEST_CASE("elicit: without a terminal nothing is offered and nothing waits") {
  ProcessOptions options;
  options.limit = 20s;
  options.input = "y\n";
  const Finished ran = run_process(call_that_asks(form()), options);
  CHECK(ran.code == 0);
  CHECK(ran.out.find("-32601") != std::string::npos);
  CHECK(ran.err.find("asks") == std::string::npos);
}

TEST_CASE("asked: a model that only a server asks is opened for it") {
  const TempDir dir;
  const auto file = [&](const std::string& name) { return (dir.path() / name).string(); };
  const std::string fixture = MCP_FIXTURE_SERVER;
  write_file(file("s.yaml"), R"(schema: swarm/v1
models:
  mine: {provider: scripted, script: a.json}
  theirs: {provider: scripted, script: b.json}
agents: {A: {model: mine, tools: ["shop/*"]}}
policy: {allow: ["shop/*"]}
mcp: {shop: {command: [)" + fixture + R"(, curious], protocol: legacy, sampling: {model: theirs}}}
graph: {a: {agent: A, in: x}}
journal: {dir: )" + file("runs") + "}\n");
  write_file(file("a.json"), R"({"replies": [
    {"tool_calls": [{"name": "shop__ask", "arguments": {"method": "sampling/createMessage",
      "params": {"maxTokens": 5, "messages": [
        {"role": "user", "content": {"type": "text", "text": "?"}}]}}}]},
    {"content": "done"}]})");
  write_file(file("b.json"), R"({"replies": [{"content": "from theirs"}]})");
  const Finished ran = run_process({SWARM_PROGRAM, "run", file("s.yaml"), "--json"});
  CAPTURE(ran.err);
  CHECK(ran.code == 0);
  CHECK(ran.out.find("from theirs") != std::string::npos);
}

TEST_CASE("elicit: lines become values of their fields") {
  const auto value = [](const Json& schema, const std::string& typed) {
    return dump_json(cli::field_value(schema, typed).value());
  };
  CHECK(value({{"type", "boolean"}}, "yes") == "true");
  CHECK(value({{"type", "boolean"}}, "n") == "false");
  CHECK(value({{"type", "integer"}}, "-3") == "-3");
  CHECK(value({{"type", "number"}}, "2.5") == "2.5");
  CHECK(value({{"type", "string"}}, "2") == "\"2\"");
  const Json titled{{"type", "string"},
                    {"oneOf", Json::array({{{"const", "#f00"}, {"title", "Red"}},
                                           {{"const", "#0f0"}, {"title", "Green"}}})}};
  CHECK(value(titled, "Green") == "\"#0f0\"");
  CHECK(value(titled, "1") == "\"#f00\"");
  CHECK(value(titled, "#f00") == "\"#f00\"");
  const Json many{{"type", "array"}, {"maxItems", 2},
                  {"items", {{"anyOf", titled["oneOf"]}}}};
  CHECK(value(many, "Red, 2") == R"(["#f00","#0f0"])");
  CHECK(value({{"type", "string"}, {"format", "date"}}, "2026-07-28") == "\"2026-07-28\"");

  CHECK(problem({{"type", "boolean"}}, "perhaps").find("yes or no") != std::string::npos);
  CHECK(problem({{"type", "integer"}}, "2.5").find("integer") != std::string::npos);
  CHECK(problem(titled, "3").find("one of the choices") != std::string::npos);
  CHECK_FALSE(problem(many, "1, 2, 1").empty());
  CHECK(problem({{"type", "string"}, {"format", "email"}}, "x").find("email") !=
        std::string::npos);
  CHECK(problem({{"type", "string"}, {"format", "uri"}}, "x y").find("uri") != std::string::npos);
  CHECK(problem({{"type", "string"}, {"format", "date-time"}}, "2026-07-28").find("such as") !=
        std::string::npos);
}
