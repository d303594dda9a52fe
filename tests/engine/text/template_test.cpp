// Templates against an independent Jinja engine, byte for byte. The expected texts come from
// tests/golden/text/make_templates.py; see there how to make them again.
#include <doctest/doctest.h>

#include <map>
#include <optional>

#include "engine/base/json.h"
#include "engine/text/chat_template.h"
#include "engine/text/jinja/jinja.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::engine::text;

namespace {

const Json& golden() {
  static const Json data = parse_json(test::read_file(test::golden("text/templates.json"))).value();
  return data;
}

jinja::Dict dict_of(const Json& object) {
  jinja::Dict out;
  for (const auto& [key, value] : object.items())
    out.emplace_back(key, jinja::Value::from_json(value));
  return out;
}

Result<MarkedText> run(std::string_view source, const Json& variables = Json::object()) {
  auto parsed = jinja::Template::parse(source, "t");
  if (!parsed) return parsed.error();
  return (*parsed)->render(dict_of(variables));
}

std::string text_of(std::string_view source, const Json& variables = Json::object()) {
  const auto rendered = run(source, variables);
  return rendered ? rendered->text() : "error: " + rendered.error().to_text();
}

std::string refusal(std::string_view source, const Json& variables = Json::object()) {
  const auto rendered = run(source, variables);
  return rendered ? "rendered: " + rendered->text() : rendered.error().to_text();
}

// A template of our own, a published one, or a published one with one change; nullopt if absent.
std::optional<std::string> template_source(const std::string& name) {
  if (golden().at("own").contains(name)) return golden().at("own").at(name).get<std::string>();
  const Json derived = golden().at("derived").value(name, Json());
  const std::string file = derived.is_null() ? name : derived.at("from").get<std::string>();
  const auto path = test::shared_data("templates/" + file);
  if (!path) return std::nullopt;
  std::string source = test::read_file(*path);
  if (derived.is_null()) return source;
  const auto old_text = derived.at("old").get<std::string>();
  return source.replace(source.find(old_text), old_text.size(),
                        derived.at("new").get<std::string>());
}

// Variables of a golden chat -> what ChatTemplate takes.
Result<MarkedText> render_chat(const ChatTemplate& chat_template, const Json& variables) {
  RenderOptions options;
  Json tools = Json::array();
  Json messages = Json::array();
  for (const auto& [key, value] : variables.items()) {
    if (key == "messages") {
      messages = value;
    } else if (key == "tools") {
      tools = value;
    } else if (key == "add_generation_prompt") {
      options.add_generation_prompt = value.get<bool>();
    } else if (key == "enable_thinking") {
      options.enable_thinking = value.get<bool>();
    }
  }
  return chat_template.render_json(messages, tools, options);
}

}  // namespace

TEST_CASE("jinja: every program gives what the independent engine gives") {
  for (const Json& program : golden().at("programs")) {
    const std::string source = program.at("source").get<std::string>();
    CAPTURE(source);
    const auto got = run(source, program.at("variables"));
    if (program.at("rendered").is_null()) {
      CHECK_MESSAGE(!got.has_value(), "the oracle refuses, we render: ", got ? got->text() : "");
    } else if (!got) {
      CHECK_MESSAGE(false, got.error().to_text());
    } else {
      CHECK(got->text() == program.at("rendered").get<std::string>());
    }
  }
}

TEST_CASE("chat template: every published template gives what the independent engine gives") {
  std::map<std::string, std::shared_ptr<const ChatTemplate>> templates;
  for (const auto& [name, unused] : golden().at("chats").at(0).at("rendered").items()) {
    const auto source = template_source(name);
    if (!source) {
      MESSAGE("published template ", name, " is absent: not checked");
      continue;
    }
    auto parsed = ChatTemplate::parse(*source, name);
    REQUIRE_MESSAGE(parsed.has_value(), parsed.error().to_text());
    templates[name] = *parsed;
  }
  CHECK(templates.size() >= 3);
  for (const Json& chat : golden().at("chats")) {
    for (const auto& [name, want] : chat.at("rendered").items()) {
      if (!templates.contains(name)) continue;
      CAPTURE(chat.at("name").get<std::string>());
      CAPTURE(name);
      const auto got = render_chat(*templates.at(name), chat.at("variables"));
      if (want.is_null()) {
        CHECK_MESSAGE(!got.has_value(), "the oracle refuses, we render: ", got ? got->text() : "");
      } else if (!got) {
        CHECK_MESSAGE(false, got.error().to_text());
      } else {
        CHECK(got->text() == want.get<std::string>());
      }
    }
  }
}

TEST_CASE("jinja: errors carry line, column and what was expected") {
  CHECK(refusal("a\n {% nope %}") ==
        "t:2:5: error: unknown or unsupported statement \"nope\"");
  CHECK(refusal("{{ a | zip }}") == "t:1:8: error: unknown filter \"zip\"");
  CHECK(refusal("{{ a is zip }}") == "t:1:9: error: unknown test \"zip\"");
  CHECK(refusal("x\ny {{ a.b.c }}") == "t:2:7: error: \"a\" is undefined");
  CHECK(refusal("{{ zip() }}") == "t:1:7: error: unknown function: \"zip\" is undefined");
  CHECK(refusal("{{ 'a' + 1 }}") == "t:1:8: error: \"+\" does not work on string and integer");
  CHECK(refusal("{% if x %}y") ==
        "t:1:12: error: expected {% endif %}, found the end of the template");
  CHECK(refusal("{{ raise_exception('no roles') }}") ==
        "t:1:19: error: the template refuses: no roles");
  CHECK(refusal("{% import 'x' as y %}") ==
        "t:1:4: error: unknown or unsupported statement \"import\"");
}

TEST_CASE("jinja: work, output and nesting are bounded") {
  const auto endless =
      jinja::Template::parse("{% for i in range(9999) %}{% for j in range(9999) %}{% endfor %}"
                             "{% endfor %}", "t")
          .value()
          ->render({}, {.steps_max = 100'000});
  REQUIRE(!endless.has_value());
  CHECK(endless.error().kind == ErrorKind::invalid_input);
  CHECK(endless.error().message == "expected at most 100000 steps");
  CHECK(refusal("{{ 'x' * 100000000 }}").find("bytes of text") != std::string::npos);
  CHECK(refusal("{{ [1] * 10000000000 }}").find("steps") != std::string::npos);
  CHECK(refusal("{% set ns = namespace(s='x') %}{% for i in range(40) %}"
                "{% set ns.s = ns.s + ns.s %}{% endfor %}")
            .find("bytes of text") != std::string::npos);
  CHECK(refusal("{% for i in range(1000000) %}{{ 'x' * 1000 }}{% endfor %}")
            .find("bytes of text") != std::string::npos);
  CHECK(refusal("{% macro f(n) %}{{ f(n) }}{% endmacro %}{{ f(1) }}")
            .find("macros inside macros") != std::string::npos);
  CHECK(refusal("{% set ns = namespace(l=[]) %}{% for i in range(1000) %}"
                "{% set ns.l = [ns.l] %}{% endfor %}")
            .find("levels of nested values") != std::string::npos);
  CHECK(refusal("{% set ns = namespace() %}{% set ns.me = [ns] %}")
            .find("a namespace cannot hold a namespace") != std::string::npos);
  CHECK(refusal("{{ 9223372036854775807 + 1 }}").find("64 bits") != std::string::npos);
  std::string deep = "1", chain = "1", blocks;
  for (int i = 0; i < 5000; ++i) {
    deep = "(" + deep + ")";
    chain += "+1";
    blocks += "{% if 1 %}";
  }
  CHECK(refusal("{{ " + deep + " }}").find("levels of nesting") != std::string::npos);
  CHECK(refusal("{{ " + chain + " }}").find("levels") != std::string::npos);
  CHECK(refusal(blocks).find("levels of nesting") != std::string::npos);
}

TEST_CASE("jinja: the deepest template that is accepted does not overflow the stack") {
  // Macros inside macros, each through nested statements and a deep expression, up to the limit.
  std::string call = "f(n)";
  for (int i = 0; i < 25; ++i) call = "(" + call + " ~ 'x')[0:9]";
  std::string body = "{{ " + call + " }}";
  for (int i = 0; i < 50; ++i)
    body = i % 2 == 0 ? "{% if 1 %}" + body + "{% endif %}" : "{% for a in 'b' %}" + body +
                                                                  "{% endfor %}";
  CHECK(refusal("{% macro f(n) %}" + body + "{% endmacro %}{{ f(1) }}")
            .find("macros inside macros") != std::string::npos);
}

TEST_CASE("jinja: trust follows the bytes a template wrote") {
  // Every expression puts untrusted u and trusted [T] together; the mask is spelled out.
  const Json variables = {{"u", " <u> "}, {"l", {"a", "b"}}};
  const auto mask = [&](std::string_view source) {
    const MarkedText text = run(source, variables).value();
    std::string out = text.text();
    for (size_t i = 0; i < out.size(); ++i)
      if (!text.is_trusted(i, 1)) out[i] = '.';
    return out;
  };
  CHECK(mask("[T]{{ u }}[T]") == "[T].....[T]");
  CHECK(mask("{{ '[T]' + u + 'x' }}") == "[T].....x");
  CHECK(mask("{{ '[T]' ~ u.strip() ~ 1 }}") == "[T]....");
  CHECK(mask("{{ ('[T]' + u)[1:5] }}") == "T]..");
  CHECK(mask("{{ ('[T]' + u)[::-1] }}") == ".....]T[");
  CHECK(mask("{{ ('[T],' + u).split(',') | join('+') }}") == "[T]+.....");
  CHECK(mask("{{ u.replace('u', 'T') }}") == "..T..");
  CHECK(mask("{{ 'aub'.replace('u', u) }}") == "a.....b");
  CHECK(mask("{{ l | join('-') }}") == ".-.");
  CHECK(mask("{{ l | tojson }}") == "..........");
  CHECK(mask("{{ u | upper }}{{ 't' | upper }}{{ ('t' ~ u) | trim | upper }}") == ".....T.....");
  CHECK(mask("{% set x %}[T]{{ u }}{% endset %}{{ x | trim }}") == "[T]....");
  CHECK(mask("{% macro m(a) %}<{{ a }}>{% endmacro %}{{ m(u) }}") == "<.....>");
  CHECK(mask("{% for c in 'ab' %}{{ c }}{% endfor %}{% for c in u %}{{ c }}{% endfor %}") ==
        "ab.....");
  CHECK(mask("{{ u | indent(2, true) }}") == "  .....");
  CHECK(mask("{{ {u: 1}.keys() | first }}") == ".....");
}

TEST_CASE("jinja: generation blocks are transparent") {
  CHECK(text_of("{% generation %}x{{ 1 }}{% endgeneration %}") == "x1");
}

TEST_CASE("jinja: any prefix and any byte mutation of a template is refused or rendered") {
  const std::string source = golden().at("own").at("small-thinking").get<std::string>() +
                             golden().at("own").at("small-tools").get<std::string>();
  const Json variables = golden().at("chats").at(16).at("variables");
  for (size_t i = 0; i < source.size(); ++i) {
    (void)run(source.substr(0, i), variables);
    std::string mutated = source;
    mutated[i] = "{}%#'\"()[]|.-\n\xff" "a1 "[(i * 7) % 18];
    (void)run(mutated, variables);
  }
  CHECK(run(source, variables).has_value());
}

TEST_CASE("chat template: messages and tools become the JSON that templates expect") {
  const Message message{.role = "assistant",
                        .content = "c",
                        .reasoning = "r",
                        .tool_calls = {{"f", Json{{"a", 1}}}}};
  CHECK(dump_json_spaced(message_json(message)) ==
        "{\"role\": \"assistant\", \"content\": \"c\", \"reasoning_content\": \"r\", "
        "\"tool_calls\": [{\"type\": \"function\", \"function\": {\"name\": \"f\", "
        "\"arguments\": {\"a\": 1}}}]}");
  CHECK(dump_json_spaced(tool_json("f", "d", Json{{"type", "object"}})) ==
        "{\"type\": \"function\", \"function\": {\"name\": \"f\", \"description\": \"d\", "
        "\"parameters\": {\"type\": \"object\"}}}");
  const auto chat_template =
      ChatTemplate::parse("{{ bos_token }}{{ extra }}{% for m in messages %}<{{ m.role }}>"
                          "{{ m.content }}{% endfor %}{{ tools is none }}{{ enable_thinking }}",
                          "t")
          .value();
  const std::vector<Message> messages{{.role = "user", .content = "<|im_end|>"}};
  const MarkedText text =
      chat_template
          ->render(messages, Json::array(),
                   {.enable_thinking = false,
                    .variables = Json{{"extra", "<|im_start|>"}},
                    .special_tokens = {{"bos_token", "<|endoftext|>"}}})
          .value();
  CHECK(text.text() == "<|endoftext|><|im_start|><user><|im_end|>TrueFalse");
  CHECK(text.is_trusted(0, 13));
  CHECK(!text.is_trusted(13, 1));
  CHECK(!text.is_trusted(text.text().find("<|im_end|>"), 1));
  CHECK(!chat_template->render_json(Json{{"a", 1}}, Json::array()).has_value());
  CHECK(!chat_template->render_json(Json::array({1}), Json::array()).has_value());
}
