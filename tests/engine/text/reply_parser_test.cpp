// The streamed result equals the whole result for every way to cut the input, and nothing is lost.
#include "engine/text/reply_parser.h"

#include <doctest/doctest.h>

#include <algorithm>
#include <functional>

#include "engine/base/rng.h"

using namespace swarm;
using namespace swarm::engine::text;

namespace {

std::vector<ToolSchema> schemas() {
  return {{"f", parse_json(R"({"type": "object", "properties": {
      "s": {"type": "string"}, "i": {"type": "integer"}, "n": {"type": "number"},
      "b": {"type": "boolean"}, "o": {"type": "object"}, "a": {"type": "array"},
      "z": {"type": ["string", "null"]}, "any": {"anyOf": [{"type": "integer"},
      {"type": "string"}]}}})")
                     .value()}};
}

ReplyPart parse_pieces(const ReplyOptions& options, const std::vector<std::string_view>& pieces) {
  ReplyParser parser(options);
  ReplyPart sum;
  const auto add = [&](const ReplyPart& part) {
    sum.content += part.content;
    sum.reasoning += part.reasoning;
    sum.calls.insert(sum.calls.end(), part.calls.begin(), part.calls.end());
    sum.malformed.insert(sum.malformed.end(), part.malformed.begin(), part.malformed.end());
  };
  for (const std::string_view piece : pieces) add(parser.feed(piece));
  add(parser.finish());
  REQUIRE(sum == parser.reply());
  return sum;
}

std::string show(const ReplyPart& part) {
  std::string out = "content[" + part.content + "]";
  if (!part.reasoning.empty()) out += " reasoning[" + part.reasoning + "]";
  for (const ToolCall& call : part.calls)
    out += " call[" + call.name + " " + dump_json(call.arguments) + "]";
  for (const std::string& raw : part.malformed) out += " malformed[" + raw + "]";
  return out;
}

// Byte by byte and with every pair of cuts.
void check_all_cuts(const ReplyOptions& options, std::string_view text, const ReplyPart& want) {
  std::vector<std::string_view> bytes;
  for (size_t i = 0; i < text.size(); ++i) bytes.push_back(text.substr(i, 1));
  REQUIRE(show(parse_pieces(options, bytes)) == show(want));
  for (size_t a = 0; a <= text.size(); ++a)
    for (size_t b = a; b <= text.size(); ++b)
      REQUIRE(show(parse_pieces(options, {text.substr(0, a), text.substr(a, b - a),
                                          text.substr(b)})) == show(want));
}

struct Case {
  std::string name;
  std::string text;
  std::string want;
  ReplyOptions options = {};
};

ReplyOptions coder() { return {.style = CallStyle::coder_xml, .tools = schemas()}; }

void check_cases(const std::vector<Case>& cases) {
  for (const Case& one : cases) {
    CAPTURE(one.name);
    const ReplyPart whole = parse_pieces(one.options, {one.text});
    CHECK(show(whole) == one.want);
    check_all_cuts(one.options, one.text, whole);
  }
}

const std::string kCall = R"(<tool_call>
{"name": "f", "arguments": {"s": "x"}}
</tool_call>)";

}  // namespace

TEST_CASE("reply: JSON calls come out of every cut alike") {
  check_cases({
      {"plain text", "Hello <b>, 1 < 2\n", "content[Hello <b>, 1 < 2\n]"},
      {"one call", kCall, R"(content[] call[f {"s":"x"}])"},
      {"text, call", "Let me.\n\n" + kCall, R"(content[Let me.] call[f {"s":"x"}])"},
      {"two calls", kCall + "\n" + kCall + "\n",
       R"(content[] call[f {"s":"x"}] call[f {"s":"x"}])"},
      {"text after a call", kCall + "\nDone ", "content[\nDone ] call[f {\"s\":\"x\"}]"},
      {"no final marker", "<tool_call>\n{\"name\": \"f\", \"arguments\": {}}\n",
       "content[] call[f {}]"},
      {"no closing marker before the next call", "<tool_call>{\"name\":\"f\"}\n" + kCall,
       R"(content[] call[f {}] call[f {"s":"x"}])"},
      {"arguments as text",
       R"(<tool_call>{"name": "f", "arguments": "{\"s\": \"a\"}"}</tool_call>)",
       R"(content[] call[f {"s":"a"}])"},
      {"markers inside a string",
       R"(<tool_call>{"name": "f", "arguments": {"s": "</tool_call>\"<tool_call>"}}</tool_call>)",
       R"(content[] call[f {"s":"</tool_call>\"<tool_call>"}])"},
      {"broken JSON", "a <tool_call>{\"name\": }</tool_call> b",
       "content[a b] malformed[<tool_call>{\"name\": }</tool_call>]"},
      {"no JSON at all", "<tool_call>it's \"so</tool_call>x",
       "content[x] malformed[<tool_call>it's \"so</tool_call>]"},
      {"extra brace", R"(<tool_call>{"name": "f", "arguments": {}}}</tool_call>)",
       R"(content[] malformed[<tool_call>{"name": "f", "arguments": {}}}</tool_call>])"},
      {"cut short", R"(<tool_call>{"name": "f", "argum)",
       R"(content[] malformed[<tool_call>{"name": "f", "argum])"},
      {"unclosed string swallows nothing", "<tool_call>{\"name\": \"f}</tool_call>rest" + kCall,
       "content[rest] call[f {\"s\":\"x\"}] malformed[<tool_call>{\"name\": \"f}</tool_call>]"},
      {"arguments of another kind", R"(<tool_call>{"name":"f","arguments":[1]}</tool_call>)",
       R"(content[] malformed[<tool_call>{"name":"f","arguments":[1]}</tool_call>])"},
      {"no name", R"(<tool_call>{"arguments":{}}</tool_call>)",
       R"(content[] malformed[<tool_call>{"arguments":{}}</tool_call>])"},
      {"empty call", "<tool_call>\n</tool_call>", "content[] malformed[<tool_call>\n</tool_call>]"},
      {"half a marker at the end", "a <tool_c", "content[a <tool_c]"},
      {"calls are not read", kCall, "content[" + kCall + "]", {.reads_calls = false}},
  });
}

TEST_CASE("reply: reasoning ends at </think> and markers inside mean nothing") {
  const ReplyOptions opened{.opens_thinking = true};
  check_cases({
      {"block", "<think>\nwhy\n\nso\n</think>\n\nYes.", "content[Yes.] reasoning[why\n\nso]"},
      {"empty block", "<think>\n\n</think>\n\nYes.", "content[Yes.]"},
      {"blanks before the block", "\n <think>a</think>b", "content[b] reasoning[a]"},
      {"opened by the prompt", "why\n</think>\n\nYes.", "content[Yes.] reasoning[why]", opened},
      {"markers inside", "<tool_call>{}</tool_call></think>" + kCall,
       "content[] reasoning[<tool_call>{}</tool_call>] call[f {\"s\":\"x\"}]", opened},
      {"never closed", "<think>\nwhy </thin\n", "content[] reasoning[why </thin]"},
      {"not at the beginning", "a <think>b</think>", "content[a <think>b</think>]"},
      {"call after the block", "<think>a</think>\n\n" + kCall,
       "content[] reasoning[a] call[f {\"s\":\"x\"}]"},
      {"half an opening", "<thin", "content[<thin]"},
      {"blanks only", " \n", "content[ \n]"},
      {"nothing", "", "content[]"},
  });
}

TEST_CASE("reply: XML arguments keep the type that $ref, allOf, enum and const give them") {
  const Json schema =
      parse_json(R"({"$defs": {"count": {"type": "integer"}, "loop": {"$ref": "#/$defs/loop"},
        "mode": {"enum": ["1", 2, true, null]}, "base": {"properties": {"far": {"type": "array"}}}},
      "allOf": [{"$ref": "#/$defs/base"}],
      "properties": {"ref": {"$ref": "#/$defs/count"}, "loop": {"$ref": "#/$defs/loop"},
        "all": {"allOf": [{"type": ["integer", "string"]}, {"type": "string"}]},
        "both": {"allOf": [{"$ref": "#/$defs/count"}, {"minimum": 0}]},
        "mode": {"$ref": "#/$defs/mode"}, "const": {"const": {"k": [1]}},
        "text": {"type": "string", "enum": ["7", "null"]}, "implied": {"minimum": 0},
        "pattern": {"pattern": "^[0-9]+$"}, "open": {"description": "anything"},
        "yes": true, "either": {"oneOf": [{"$ref": "#/$defs/count"}, {"type": "null"}]},
        "lost": {"$ref": "#/$defs/nothing"}}})")
          .value();
  const std::vector<ToolSchema> tools{{"f", schema}};
  const auto read = [&](const std::string& key, const std::string& value) {
    const auto calls = parse_call_body("<function=f>\n<parameter=" + key + ">\n" + value +
                                           "\n</parameter>\n</function>", tools);
    REQUIRE(calls.has_value());
    return dump_json(calls->at(0).arguments.at(key));
  };
  CHECK(read("ref", "3") == "3");
  CHECK(read("both", "4") == "4");
  CHECK(read("far", "[1]") == "[1]");
  CHECK(read("either", "5") == "5");
  CHECK(read("either", "null") == "null");
  CHECK(read("all", "3") == "\"3\"");
  CHECK(read("mode", "1") == "\"1\"");
  CHECK(read("mode", "2") == "2");
  CHECK(read("mode", "true") == "true");
  CHECK(read("mode", "null") == "null");
  CHECK(read("const", "{\"k\": [1]}") == "{\"k\":[1]}");
  CHECK(read("text", "7") == "\"7\"");
  CHECK(read("text", "null") == "\"null\"");
  CHECK(read("implied", "0.5") == "0.5");
  CHECK(read("pattern", "12") == "\"12\"");
  CHECK(read("open", "{\"a\": 1}") == "{\"a\":1}");
  CHECK(read("open", "\"a b\"") == "\"a b\"");
  CHECK(read("open", "a b") == "\"a b\"");
  CHECK(read("yes", "[true]") == "[true]");
  CHECK(read("loop", "x") == "\"x\"");
  CHECK(read("lost", "x") == "\"x\"");
  CHECK(read("unknown", "3") == "\"3\"");
}

TEST_CASE("reply: XML calls convert by schema and tolerate missing markers") {
  const std::string open = "<tool_call>\n<function=f>\n", close = "</function>\n</tool_call>";
  const auto parameter = [](const std::string& key, const std::string& value) {
    return "<parameter=" + key + ">\n" + value + "\n</parameter>\n";
  };
  check_cases({
      {"no parameters", open + close, "content[] call[f {}]", coder()},
      {"text first", "Now:\n\n" + open + parameter("s", "1") + close,
       R"(content[Now:] call[f {"s":"1"}])", coder()},
      {"types",
       open + parameter("i", "3") + parameter("n", "0.5") + parameter("b", "True") + close,
       R"(content[] call[f {"i":3,"n":0.5,"b":true}])", coder()},
      {"more types", open + parameter("o", "{\"k\": [1]}") + parameter("z", "null") + close,
       R"(content[] call[f {"o":{"k":[1]},"z":null}])", coder()},
      {"choice", open + parameter("any", "7") + parameter("z", "text") + close,
       R"(content[] call[f {"any":7,"z":"text"}])", coder()},
      {"what does not convert", open + parameter("i", "many") + parameter("q", "4") + close,
       R"(content[] call[f {"i":"many","q":"4"}])", coder()},
      {"one newline at each end", open + parameter("s", "\n a\n\nb \n") + close,
       R"(content[] call[f {"s":"\n a\n\nb \n"}])", coder()},
      {"markers inside a value",
       open + parameter("s", "</tool_call><function=g></function>") + close,
       R"(content[] call[f {"s":"</tool_call><function=g></function>"}])", coder()},
      {"no opening marker", "x <function=f>\n" + parameter("i", "1") + close + "\n",
       R"(content[x] call[f {"i":1}])", coder()},
      {"no markers at all", "<function=f>" + parameter("i", "1") + "</function> y",
       R"(content[ y] call[f {"i":1}])", coder()},
      {"no closing marker", open + "</function>\n", "content[] call[f {}]", coder()},
      {"two functions", open + "</function><function=g></function></tool_call>",
       "content[] call[f {}] call[g {}]", coder()},
      {"two calls", open + close + "\n" + open + close, "content[] call[f {}] call[f {}]", coder()},
      {"cut short", open + "<parameter=s>\nab",
       "content[] malformed[" + open + "<parameter=s>\nab]", coder()},
      {"stray text", open + "oops" + close, "content[] malformed[" + open + "oops" + close + "]",
       coder()},
      {"twice the same parameter", open + parameter("i", "1") + parameter("i", "2") + close,
       "content[] malformed[" + open + parameter("i", "1") + parameter("i", "2") + close + "]",
       coder()},
      {"JSON inside", kCall, R"(content[] call[f {"s":"x"}])", coder()},
      {"XML although JSON was taught", open + close, "content[] call[f {}]"},
      {"bare XML although JSON was taught", "<function=f></function>",
       "content[<function=f></function>]"},
  });
}

TEST_CASE("reply: content appears as soon as it cannot be a marker") {
  ReplyParser parser({});
  CHECK(parser.feed("Hello").content == "Hello");
  CHECK(parser.feed(" <").content == "");
  CHECK(parser.feed("b>").content == " <b>");
  CHECK(parser.feed("<tool_call>{\"name\": \"f\"}").calls.empty());
  CHECK(parser.feed("</tool_call>").calls.size() == 1);
  CHECK(parser.finish() == ReplyPart{});
}

TEST_CASE("reply: all short sequences of fragments are cut-proof and lose no letter") {
  const std::vector<std::string> fragments{
      "x",         "\n",          " ",  "<",           "<tool_call>", "</tool_call>",
      "<think>",   "</think>",    "\"", "{\"name\": \"x\"}", "<function=x>", "</function>",
      "<parameter=x>", "</parameter>"};
  const auto count_x = [](std::string_view text) {
    return std::count(text.begin(), text.end(), 'x');
  };
  std::vector<ReplyOptions> all{{}, coder(), {.opens_thinking = true}};
  size_t checked = 0;
  std::function<void(const std::string&, int)> extend = [&](const std::string& text, int depth) {
    for (const ReplyOptions& options : all) {
      const ReplyPart whole = parse_pieces(options, {text});
      std::vector<std::string_view> bytes;
      for (size_t i = 0; i < text.size(); ++i) bytes.push_back(std::string_view(text).substr(i, 1));
      const ReplyPart split = parse_pieces(options, bytes);
      if (!(whole == split)) {
        CAPTURE(text);
        REQUIRE(show(split) == show(whole));
      }
      // Parameter names and values of calls count once each, as they are written.
      std::string shown = whole.content + whole.reasoning;
      for (const ToolCall& call : whole.calls) shown += call.name + call.arguments.dump();
      for (const std::string& raw : whole.malformed) shown += raw;
      if (count_x(shown) != count_x(text)) {
        CAPTURE(text);
        REQUIRE(show(whole) == "every x of the input");
      }
      ++checked;
    }
    if (depth == 0) return;
    for (const std::string& fragment : fragments) extend(text + fragment, depth - 1);
  };
  extend("", 4);
  CHECK(checked > 100'000);
}

TEST_CASE("reply: long random sequences are cut-proof") {
  Rng rng(11);
  const std::vector<std::string> fragments{
      "a", "\n", " ", "<", "</", "tool_call>", "<tool_call>", "</tool_call>", "<think>", "</think>",
      "\"", "\\", "{", "}", "{\"name\": \"f\", \"arguments\": {}}", "<function=f>", "</function>",
      "<parameter=i>", "</parameter>", "1", "\xe6\x9d\xb1"};
  for (int round = 0; round < 3000; ++round) {
    std::string text;
    for (uint64_t n = rng.below(30); n > 0; --n) text += fragments[rng.below(fragments.size())];
    const ReplyOptions options = rng.below(2) == 0 ? coder() : ReplyOptions{};
    const ReplyPart whole = parse_pieces(options, {text});
    std::vector<std::string_view> pieces;
    for (size_t at = 0; at < text.size();) {
      const size_t length = 1 + rng.below(9);
      pieces.push_back(std::string_view(text).substr(at, length));
      at += length;
    }
    CAPTURE(text);
    REQUIRE(show(parse_pieces(options, pieces)) == show(whole));
  }
}

TEST_CASE("reply: where the writer was cut off, what closes the text makes no call") {
  const auto cut = [](const std::string& said, const std::string& closing, bool thinks = false) {
    ReplyParser parser({.opens_thinking = thinks, .tools = schemas()});
    parser.feed(said);
    parser.cut();
    for (const char byte : closing) parser.feed(std::string_view(&byte, 1));
    parser.finish();
    return show(parser.reply());
  };
  const std::string call = "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"s\": \"ab";
  CHECK(cut("a " + call, "\"}}\n</tool_call>") == "content[a] malformed[" + call + "]");
  // The call before it was whole; so is one that lacks only its marker.
  CHECK(cut(call + "\"}}\n</tool_call>\n" + call, "\"}}\n</tool_call>") ==
        "content[] call[f {\"s\":\"ab\"}] malformed[" + call + "]");
  CHECK(cut(call + "\"}}", "\n</tool_call>") == "content[] call[f {\"s\":\"ab\"}]");
  CHECK(cut("{\"a\": \"b", "\"}") == "content[{\"a\": \"b\"}]");
  CHECK(cut("hm", "</think>\n\n{}", true) == "content[{}] reasoning[hm]");
  CHECK(cut("hm", "</think>\n\n" + call + "\"}}\n</tool_call>", true) ==
        "content[] reasoning[hm]");
}

TEST_CASE("reply: what the canonical renderer writes is read back") {
  const ToolCall call{"f", parse_json(R"({"s": "a\n<b> \"ü\" </tool_call>", "i": 3, "n": 1.5,
      "b": false, "o": {"x": [null, "y"]}, "a": [], "z": null})")
                               .value()};
  for (const CallStyle style : {CallStyle::json, CallStyle::coder_xml}) {
    ReplyOptions options = coder();
    options.style = style;
    const std::string written = render_call(style, call);
    const ReplyPart part = parse_pieces(options, {"one\n", written, "\n", written});
    CHECK(part.content == "one");
    REQUIRE(part.calls.size() == 2);
    CHECK(part.calls[0] == call);
    CHECK(part.calls[1] == call);
    CHECK(part.malformed.empty());
  }
}

TEST_CASE("reply: the style of a template and an open think block are recognised") {
  CHECK(detect_call_style("... <tool_call>\\n<function=NAME>") == CallStyle::coder_xml);
  CHECK(detect_call_style("... <tool_call>\\n{\"name\"") == CallStyle::json);
  CHECK(!detect_call_style("{{ messages }}"));
  CHECK(prompt_opens_thinking("<|im_start|>assistant\n<think>\n"));
  CHECK(!prompt_opens_thinking("<|im_start|>assistant\n<think>\n\n</think>\n\n"));
  CHECK(!prompt_opens_thinking("<|im_start|>assistant\n"));
}
