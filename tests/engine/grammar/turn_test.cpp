// Whole turns: tools, formats, triggers, reasoning.
#include <doctest/doctest.h>

#include <algorithm>

#include "tests/engine/grammar/fixture.h"

namespace swarm::test {
namespace {

using grammar::CallFormat;
using grammar::Matcher;
using grammar::ToolChoice;
using grammar::TurnSpec;

Json schema_of(std::string_view text) {
  auto parsed = parse_json(text);
  REQUIRE(parsed.has_value());
  return *parsed;
}

TurnSpec two_tools(ToolChoice choice, CallFormat format = CallFormat::json) {
  TurnSpec spec;
  spec.tools = {{"add", schema_of(R"({"type": "object", "properties": {"x": {"type": "integer"}},
                           "required": ["x"]})")},
                {"say", schema_of(R"({"type": "object", "properties": {"text": {"type": "string"},
                           "loud": {"type": "boolean"}}, "required": ["text"]})")}};
  spec.tool_choice = choice;
  spec.call_format = format;
  spec.tool_call_begin = kToolBegin;
  spec.tool_call_end = kToolEnd;
  return spec;
}

// '[' and ']' stand for the special tokens of a call, '|' for the end of reasoning.
bool says(const Matcher& start, std::string_view text) {
  Matcher matcher = start;
  for (const char c : text) {
    TokenId token = static_cast<uint8_t>(c);
    if (c == '[') token = kToolBegin;
    if (c == ']') token = kToolEnd;
    if (c == '|') token = kThinkEnd;
    if (!matcher.accept(token)) return false;
  }
  return matcher.may_end() && matcher.accept(kStop) && matcher.ended();
}

bool has(const std::vector<TokenId>& tokens, TokenId token) {
  return std::find(tokens.begin(), tokens.end(), token) != tokens.end();
}

constexpr const char* kAdd = "[\n{\"name\": \"add\", \"arguments\": {\"x\": 1}}\n]";
constexpr const char* kSay = "[\n{\"name\": \"say\", \"arguments\": {\"text\": \"hi\"}}\n]";

}  // namespace

TEST_CASE("turn: required calls begin at once and are separated by one newline") {
  Workbench bench(byte_vocabulary());
  const Matcher start = bench.matcher(two_tools(ToolChoice::required));
  CHECK(says(start, kAdd));
  CHECK(says(start, std::string(kAdd) + "\n" + kSay));
  CHECK_FALSE(says(start, ""));
  CHECK_FALSE(says(start, std::string("x") + kAdd));
  CHECK_FALSE(says(start, std::string(kAdd) + kSay));
  CHECK_FALSE(says(start, std::string(kAdd) + "\n\n" + kSay));
  CHECK_FALSE(says(start, std::string(kAdd) + "\n"));
  CHECK_FALSE(says(start, std::string(kAdd) + " more"));
  CHECK_FALSE(says(start, "[\n{\"name\": \"sub\", \"arguments\": {}}\n]"));
  CHECK_FALSE(says(start, "[\n{\"name\": \"add\", \"arguments\": {\"text\": \"hi\"}}\n]"));
  CHECK(allowed_tokens(start, bench.vocabulary.bytes.size()) == std::vector<TokenId>{kToolBegin});
}

TEST_CASE("turn: a named tool is the only one") {
  Workbench bench(byte_vocabulary());
  TurnSpec spec = two_tools(ToolChoice::named);
  spec.named_tool = "say";
  const Matcher start = bench.matcher(spec);
  CHECK(says(start, kSay));
  CHECK_FALSE(says(start, kAdd));
}

TEST_CASE("turn: no more than calls_max calls") {
  Workbench bench(byte_vocabulary());
  TurnSpec spec = two_tools(ToolChoice::required);
  spec.calls_max = 2;
  const Matcher start = bench.matcher(spec);
  const std::string two = std::string(kAdd) + "\n" + kSay;
  CHECK(says(start, two));
  CHECK_FALSE(says(start, two + "\n" + kAdd));
}

TEST_CASE("turn: automatic choice is free text until the trigger token") {
  Workbench bench(byte_vocabulary());
  const Matcher start = bench.matcher(two_tools(ToolChoice::automatic));
  CHECK(says(start, ""));
  CHECK(says(start, "any text \xff {\"name\": <tool_call>"));
  CHECK(says(start, std::string("let me see\n") + kAdd));
  CHECK(says(start, std::string("x") + kAdd + "\n" + kAdd));
  CHECK_FALSE(says(start, "x["));
  CHECK_FALSE(says(start, std::string("x") + kAdd + "\nmore text"));
  const auto allowed = allowed_tokens(start, bench.vocabulary.bytes.size());
  CHECK(allowed.size() == 256 + 2);  // every byte, the trigger and the end
  CHECK(has(allowed, kToolBegin));
  CHECK(has(allowed, kStop));
  CHECK_FALSE(has(allowed, kToolEnd));
  CHECK_FALSE(has(allowed, kUnused));
}

TEST_CASE("turn: with an output schema the turn is calls or that JSON") {
  Workbench bench(byte_vocabulary());
  TurnSpec spec = two_tools(ToolChoice::automatic);
  spec.output_schema = schema_of(R"({"type": "boolean"})");
  const Matcher start = bench.matcher(spec);
  CHECK(says(start, "true"));
  CHECK(says(start, kAdd));
  CHECK_FALSE(says(start, std::string("true") + kAdd));
  CHECK_FALSE(says(start, ""));
  spec.tool_choice = ToolChoice::none;
  const Matcher silent = bench.matcher(spec);
  CHECK(says(silent, "false"));
  CHECK_FALSE(says(silent, kAdd));
  spec.output_schema.reset();
  CHECK(says(bench.matcher(spec), "free text"));
  CHECK_FALSE(says(bench.matcher(spec), kAdd));
}

TEST_CASE("turn: reasoning is free up to its end token") {
  Workbench bench(byte_vocabulary());
  TurnSpec spec = two_tools(ToolChoice::required);
  spec.think_end = kThinkEnd;
  const Matcher start = bench.matcher(spec);
  for (const char* gap : {"", "\n", "\n\n"}) {
    CHECK(says(start, std::string("hmm {") + "|" + gap + kAdd));
  }
  CHECK(says(start, std::string("|") + kAdd));
  CHECK_FALSE(says(start, kAdd));
  CHECK_FALSE(says(start, "only thoughts"));
  CHECK_FALSE(says(start, std::string("hmm") + kAdd + "|" + kAdd));
  CHECK_FALSE(says(start, std::string("a|\n\n\n") + kAdd));
  const auto completion = start.completion();
  REQUIRE(completion.has_value());
  CHECK(completion->front() == kThinkEnd);
}

TEST_CASE("turn: reasoning that the prompt has not opened is optional") {
  Workbench bench(byte_vocabulary());
  TurnSpec spec = two_tools(ToolChoice::required);
  spec.think_end = kThinkEnd;
  spec.think_begin = kUnused;
  Matcher start = bench.matcher(spec);
  CHECK(says(start, kAdd));
  CHECK_FALSE(says(start, std::string("hmm|") + kAdd));
  REQUIRE(start.accept(kUnused));
  CHECK(says(start, std::string("\nhmm {|\n\n") + kAdd));
  CHECK_FALSE(says(start, kAdd));
  CHECK_FALSE(start.accept(kUnused));
}

TEST_CASE("turn: without special tokens the markers are text") {
  Workbench bench(byte_vocabulary());
  TurnSpec spec = two_tools(ToolChoice::automatic);
  spec.tool_call_begin = spec.tool_call_end = -1;
  const Matcher start = bench.matcher(spec);
  const std::string call =
      "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"x\": 1}}\n</tool_call>";
  CHECK(matches(start, call));
  CHECK(matches(start, "text <<tool_call " + call + "\n" + call));
  CHECK(matches(start, "text <tool_cal"));
  CHECK_FALSE(matches(start, "<tool_call>"));
  CHECK_FALSE(matches(start, "x <tool_call>y"));
  CHECK_FALSE(matches(start, call + " and text"));
}

TEST_CASE("turn: the XML form writes strings raw and the rest as JSON") {
  Workbench bench(byte_vocabulary());
  TurnSpec spec = two_tools(ToolChoice::required, CallFormat::coder_xml);
  spec.tools.push_back({"mix", schema_of(R"({"type": "object", "properties": {
         "mode": {"enum": ["r", "w"]}, "list": {"type": "array", "items": {"type": "integer"}},
         "short": {"type": "string", "maxLength": 2}}})")});
  const Matcher start = bench.matcher(spec);
  const auto call = [](const std::string& name, const std::string& parameters) {
    return "[\n<function=" + name + ">\n" + parameters + "</function>\n]";
  };
  CHECK(says(start, call("add", "<parameter=x>\n-7\n</parameter>\n")));
  CHECK(says(start, call("say", "<parameter=text>\na \"b\"\n</p\n\n\n</parameter>\n")));
  CHECK(says(start, call("say",
                         "<parameter=text>\n\n</parameter>\n<parameter=loud>\ntrue\n"
                         "</parameter>\n")));
  CHECK(says(start, call("mix", "")));
  CHECK(says(start, call("mix",
                         "<parameter=mode>\nw\n</parameter>\n<parameter=short>\n\xc3\xa9\n\n"
                         "</parameter>\n")));
  CHECK_FALSE(says(start, call("add", "")));
  CHECK_FALSE(says(start, call("add", "<parameter=x>\nseven\n</parameter>\n")));
  CHECK_FALSE(says(start, call("say", "<parameter=text>\na\n</parameter>\nb\n</parameter>\n")));
  CHECK_FALSE(says(start, call("say", "<parameter=text>\n\xff\n</parameter>\n")));
  CHECK_FALSE(says(start, call("mix", "<parameter=mode>\nx\n</parameter>\n")));
  CHECK_FALSE(says(start, call("mix", "<parameter=short>\nabc\n</parameter>\n")));
}

TEST_CASE("turn: tagged blocks hold raw text, in order, each up to its own end") {
  Workbench bench(byte_vocabulary());
  TurnSpec spec;
  spec.output_format = grammar::OutputFormat::tags;
  spec.output_schema = schema_of(R"({"type": "object", "properties": {
      "code": {"type": "string"}, "mode": {"enum": ["r", "w", ""]}, "n": {"type": "integer"},
      "need": {"type": "string", "maxLength": 3, "pattern": "\\S"}},
      "required": ["code", "mode", "n", "need"]})");
  const Matcher start = bench.matcher(spec);
  const auto text = [](const std::string& code, const std::string& mode, const std::string& n,
                       const std::string& need) {
    return "<code>\n" + code + "\n</code>\n<mode>\n" + mode + "\n</mode>\n<n>\n" + n +
           "\n</n>\n<need>\n" + need + "\n</need>";
  };
  CHECK(says(start, text("a \"b\" \\ <mode>\n</need>\n", "w", "-7", " x")));
  CHECK(says(start, text("", "", "0", "\xc3\xa9")));
  CHECK_FALSE(says(start, text("a\n</code>\nb", "w", "1", "x")));
  CHECK_FALSE(says(start, text("a", "x", "1", "x")));
  CHECK_FALSE(says(start, text("a", "w", "one", "x")));
  CHECK_FALSE(says(start, text("a", "w", "1", "")));
  CHECK_FALSE(says(start, text("a", "w", "1", "   ")));
  CHECK_FALSE(says(start, text("a", "w", "1", "abcd")));
  CHECK_FALSE(says(start, text("a", "w", "1", "x") + "\n"));
  CHECK_FALSE(says(start, "{\"code\": \"\"}"));
  // The same rules as JSON are another grammar.
  spec.output_format = grammar::OutputFormat::json;
  CHECK_FALSE(says(bench.matcher(spec), text("", "", "0", "x")));
  spec.output_format = grammar::OutputFormat::tags;
  spec.output_schema->at("required").erase(0);
  const auto optional = bench.compiler.compile(spec);
  REQUIRE_FALSE(optional.has_value());
  CHECK(optional.error().message.find("optional property in tags") != std::string::npos);
}

TEST_CASE("turn: in the XML form a string in a union is raw and unlike its siblings") {
  Workbench bench(byte_vocabulary());
  TurnSpec spec = two_tools(ToolChoice::required, CallFormat::coder_xml);
  spec.tools = {{"f", schema_of(R"({"type": "object", "properties": {
      "note": {"anyOf": [{"type": "string"}, {"type": "null"}]},
      "size": {"type": ["integer", "string"], "minimum": 10}}})")}};
  const Matcher start = bench.matcher(spec);
  const auto call = [](const std::string& key, const std::string& value) {
    return "[\n<function=f>\n<parameter=" + key + ">\n" + value + "\n</parameter>\n</function>\n]";
  };
  for (const char* value : {"null", "abc", "", "\"q\"", "12"})
    CHECK(says(start, call("note", value)));
  for (const char* value : {"10", "9000", "", "ten", "a5"}) CHECK(says(start, call("size", value)));
  for (const char* value : {"9", "-5", " 5", "5x"}) CHECK_FALSE(says(start, call("size", value)));
}

TEST_CASE("turn: inconsistent specifications are refused") {
  Workbench bench(byte_vocabulary());
  const auto refused = [&](const TurnSpec& spec, const char* part) {
    const auto compiled = bench.compiler.compile(spec);
    REQUIRE_FALSE(compiled.has_value());
    CAPTURE(compiled.error().message);
    CHECK(compiled.error().message.find(part) != std::string::npos);
  };
  TurnSpec spec = two_tools(ToolChoice::named);
  spec.named_tool = "sub";
  refused(spec, "\"sub\"");
  spec = two_tools(ToolChoice::required);
  spec.tools.clear();
  refused(spec, "no tools");
  spec = two_tools(ToolChoice::automatic);
  spec.tools.push_back(spec.tools.front());
  refused(spec, "\"add\"");
  spec = two_tools(ToolChoice::automatic);
  spec.tool_call_begin = 'a';
  refused(spec, "tool_call_begin");
  spec = two_tools(ToolChoice::automatic);
  spec.calls_max = 0;
  refused(spec, "calls_max");
  spec = two_tools(ToolChoice::automatic);
  spec.tools[1].parameters["properties"]["text"]["frob"] = 1;
  refused(spec, "tool \"say\" #/properties/text/frob");
  spec = two_tools(ToolChoice::automatic);
  spec.tools[1].parameters["type"] = "string";
  refused(spec, "tool \"say\"");
}

TEST_CASE("turn: one specification is compiled once") {
  Workbench bench(byte_vocabulary());
  const TurnSpec spec = two_tools(ToolChoice::automatic);
  const auto first = bench.compiler.compile(spec);
  const auto second = bench.compiler.compile(spec);
  REQUIRE(first.has_value());
  REQUIRE(second.has_value());
  CHECK(*first == *second);
  CHECK(bench.compiler.stats().compiled == 1);
  CHECK(bench.compiler.stats().cache_hits == 1);
  // Far more specifications than the cache holds: the first one is compiled again.
  TurnSpec other;
  for (int i = 0; i < 100; ++i) {
    other.output_schema = Json{{"const", i}};
    REQUIRE(bench.compiler.compile(other).has_value());
  }
  REQUIRE(bench.compiler.compile(spec).has_value());
  CHECK(bench.compiler.stats().compiled == 102);
}

}  // namespace swarm::test
