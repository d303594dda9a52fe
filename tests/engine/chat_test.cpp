// The text side over templates of the three kinds: no reasoning, optional, always open.
#include "engine/chat.h"

#include <doctest/doctest.h>

#include "engine/chat_codec.h"
#include "engine/model/synth.h"

using namespace swarm;
using namespace swarm::engine;

namespace {

const std::string kTurns =
    "{%- for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{%- if tools %}<tools>{{ tools | tojson }}</tools>\n{% endif %}"
    "{%- if add_generation_prompt %}<|im_start|>assistant\n";
const std::string kPlain = kTurns + "{% endif %}";
const std::string kOpen = kTurns + "<think>\n{% endif %}";
const std::string kHybrid =
    kTurns + "{% if enable_thinking is defined and enable_thinking is false %}"
             "<think>\n\n</think>\n\n{% endif %}{% endif %}";

std::shared_ptr<const ChatCodec> codec_with(const std::string& chat_template) {
  auto builder = model::build_synthetic({.preset = "qwen3-tiny", .layers = 1});
  REQUIRE(builder.has_value());
  builder->set("tokenizer.chat_template", chat_template);
  const auto file = builder->finish("test");
  REQUIRE(file.has_value());
  const TextSide side = open_text_side(**file, 288);
  REQUIRE(side.codec.has_value());
  CHECK(side.vocab <= 288);
  CHECK(side.think.closing.size() > 2);
  return *side.codec;
}

std::vector<ChatTool> one_tool() {
  return {{.name = "add", .description = "Adds.",
           .parameters = *parse_json(R"({"type": "object", "properties": {"x": {"type":
             "integer"}}, "required": ["x"], "additionalProperties": false})")}};
}

// Whether a required tool call may be preceded by what `text` says.
bool accepts(const ChatCodec& codec, std::optional<bool> thinking, const std::string& text) {
  const auto grammar = codec.compile({.tools = one_tool(),
                                      .tool_choice = grammar::ToolChoice::required,
                                      .enable_thinking = thinking});
  REQUIRE(grammar.has_value());
  grammar::Matcher matcher(*grammar);
  for (const TokenId token : codec.tokenize(text, true))
    if (!matcher.accept(token)) return false;
  return matcher.may_end();
}

const std::string kCall =
    "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"x\": 1}}\n</tool_call>";

ChatReply read(const ChatCodec& codec, const std::string& text,
               std::optional<bool> thinking = {}) {
  const auto tools = one_tool();
  const auto reader = codec.reader(tools, thinking);
  std::string content, reasoning;
  size_t calls = 0;
  for (const TokenId token : codec.tokenize(text, true)) {
    const ChatDelta delta = reader->feed(token);
    content += delta.content;
    reasoning += delta.reasoning;
    calls += delta.tool_calls.size();
  }
  ChatReply reply = reader->finish();
  CHECK(reply.content.starts_with(content));
  CHECK(reply.reasoning.starts_with(reasoning));
  CHECK(calls <= reply.tool_calls.size());
  return reply;
}

}  // namespace

TEST_CASE("chat: the template decides whether a constrained reply may reason first") {
  const auto plain = codec_with(kPlain), open = codec_with(kOpen), hybrid = codec_with(kHybrid);
  const std::string inside = "let me see\n</think>\n\n" + kCall;
  const std::string whole = "<think>\n" + inside;
  CHECK(accepts(*plain, {}, kCall));
  CHECK(!accepts(*plain, {}, whole));
  CHECK(accepts(*open, {}, inside));
  CHECK(!accepts(*open, {}, kCall));
  CHECK(accepts(*hybrid, {}, kCall));
  CHECK(accepts(*hybrid, {}, whole));
  CHECK(!accepts(*hybrid, false, whole));
  CHECK(accepts(*hybrid, false, kCall));
}

TEST_CASE("chat: a reply is split into reasoning, content and calls") {
  const ChatReply open = read(*codec_with(kOpen), "hmm\n</think>\n\nHere: " + kCall);
  CHECK(open.reasoning == "hmm");
  CHECK(open.content == "Here:");
  REQUIRE(open.tool_calls.size() == 1);
  CHECK(open.tool_calls[0].arguments.at("x") == 1);
  const ChatReply hybrid = read(*codec_with(kHybrid), "<think>\nwell\n</think>\n\ndone é");
  CHECK(hybrid.reasoning == "well");
  CHECK(hybrid.content == "done é");
  const ChatReply broken = read(*codec_with(kPlain), "<tool_call>\n{\"name\": \n</tool_call>");
  CHECK(broken.tool_calls.empty());
  CHECK(broken.malformed_calls.size() == 1);
}

TEST_CASE("chat: a reply begins inside reasoning only if the prompt as asked for opened it") {
  const auto closable = codec_with(
      kTurns + "<think>\n{% if enable_thinking is defined and enable_thinking is false %}"
               "\n</think>\n\n{% endif %}{% endif %}");
  CHECK(read(*closable, "Yes.", false).content == "Yes.");
  CHECK(read(*closable, "why\n</think>\n\nYes.", true).reasoning == "why");
  CHECK(read(*closable, "why\n</think>\n\nYes.").content == "Yes.");
  for (const auto& codec : {codec_with(kOpen), codec_with(kHybrid), closable})
    CHECK(codec->check_thinking().has_value());
}

TEST_CASE("chat: a model that cannot think says why") {
  CHECK(codec_with(kPlain)->check_thinking().error().message ==
        "this model cannot think: its chat template leaves no room for it");
}

TEST_CASE("chat: a prompt is what the template says, tools verbatim and in order") {
  const auto codec = codec_with(kPlain);
  const ChatPrompt chat{.messages = {{.role = "user", .content = "hi"}}, .tools = one_tool()};
  const auto text = codec->prompt_text(chat);
  REQUIRE(text.has_value());
  CHECK(text->starts_with("<|im_start|>user\nhi<|im_end|>\n<tools>[{\"type\": \"function\""));
  CHECK(text->ends_with("<|im_start|>assistant\n"));
  const auto tokens = codec->prompt(chat);
  REQUIRE(tokens.has_value());
  CHECK(codec->detokenize(*tokens, false) == *text);
  CHECK(codec->has_template());
}

TEST_CASE("chat: without a template prompts are refused, text still works") {
  auto builder = model::build_synthetic({.preset = "qwen3-tiny", .layers = 1});
  builder->set("tokenizer.chat_template", std::string("{% broken"));
  const auto file = builder->finish("test");
  REQUIRE(file.has_value());
  const TextSide side = open_text_side(**file, 288);
  REQUIRE(side.codec.has_value());
  CHECK(!(*side.codec)->has_template());
  CHECK(!(*side.codec)->prompt({.messages = {{.role = "user", .content = "x"}}}).has_value());
  CHECK((*side.codec)->detokenize((*side.codec)->tokenize("plain", false), true) == "plain");
  const TextSide small = open_text_side(**file, 5);
  CHECK(!small.codec.has_value());
}
