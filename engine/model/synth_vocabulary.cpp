#include "engine/model/synth_vocabulary.h"

#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/utf8.h"

namespace swarm::engine::model {
namespace {

constexpr int32_t kNormal = 1, kControl = 3, kUserDefined = 4, kUnused = 5;

struct Special {
  std::string_view text;
  int32_t type;
};
// In the order of their published ids from 151643 on.
constexpr Special kQwenSpecials[] = {
    {"<|endoftext|>", kControl},        {"<|im_start|>", kControl},
    {"<|im_end|>", kControl},           {"<|object_ref_start|>", kControl},
    {"<|object_ref_end|>", kControl},   {"<|box_start|>", kControl},
    {"<|box_end|>", kControl},          {"<|quad_start|>", kControl},
    {"<|quad_end|>", kControl},         {"<|vision_start|>", kControl},
    {"<|vision_end|>", kControl},       {"<|vision_pad|>", kControl},
    {"<|image_pad|>", kControl},        {"<|video_pad|>", kControl},
    {"<tool_call>", kUserDefined},      {"</tool_call>", kUserDefined},
    {"<|fim_prefix|>", kUserDefined},   {"<|fim_middle|>", kUserDefined},
    {"<|fim_suffix|>", kUserDefined},   {"<|fim_pad|>", kUserDefined},
    {"<|repo_name|>", kUserDefined},    {"<|file_sep|>", kUserDefined},
    {"<tool_response>", kUserDefined},  {"</tool_response>", kUserDefined},
    {"<think>", kUserDefined},          {"</think>", kUserDefined}};
constexpr Special kSmallSpecials[] = {
    {"<|endoftext|>", kControl},       {"<|im_start|>", kControl},
    {"<|im_end|>", kControl},          {"<tool_call>", kUserDefined},
    {"</tool_call>", kUserDefined},    {"<tool_response>", kUserDefined},
    {"</tool_response>", kUserDefined}, {"<think>", kUserDefined},
    {"</think>", kUserDefined}};

constexpr size_t kSmallTokens = 288;
constexpr size_t kQwenTokens = 151936;
constexpr size_t kQwenFirstSpecial = 151643;

// "\u0120" is the printed form of the byte 32.
constexpr std::pair<std::string_view, std::string_view> kMerges[] = {
    {"t", "h"},  {"i", "n"},  {"th", "e"},     {"e", "r"},       {"a", "n"},   {"r", "e"},
    {"o", "n"},  {"an", "d"}, {"\u0120", "a"}, {"\u0120", "the"}, {"in", "g"}, {"o", "r"},
    {"e", "n"},  {"i", "s"},  {"o", "u"},      {"\u0120", "and"}};

constexpr std::string_view kChatTemplate = R"JINJA({%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if messages[0].role == 'system' %}
        {{- messages[0].content + '\n\n' }}
    {%- endif %}
    {{- '# Tools\n\n<tools>' }}
    {%- for tool in tools %}
        {{- '\n' }}
        {{- tool | tojson }}
    {%- endfor %}
    {{- '\n</tools>\n\nCall a tool with <tool_call>\n{"name": <function-name>, ' }}
    {{- '"arguments": <args-json-object>}\n</tool_call><|im_end|>\n' }}
{%- elif messages[0].role == 'system' %}
    {{- '<|im_start|>system\n' + messages[0].content + '<|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if message.role == 'tool' %}
        {{- '<|im_start|>user\n<tool_response>\n' + message.content }}
        {{- '\n</tool_response><|im_end|>\n' }}
    {%- elif message.role == 'assistant' %}
        {{- '<|im_start|>assistant\n' + message.content }}
        {%- for call in message.tool_calls or [] %}
            {{- '\n<tool_call>\n{"name": "' + call.function.name + '", "arguments": ' }}
            {{- call.function.arguments | tojson }}
            {{- '}\n</tool_call>' }}
        {%- endfor %}
        {{- '<|im_end|>\n' }}
    {%- elif message.role != 'system' or not loop.first %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
)JINJA";

// The printable stand-in of a byte in vocabulary files: bytes 33-126, 161-172 and 174-255 are
// themselves, the others follow from U+0100 on (reference/engine.md section 9).
bool prints_as_itself(uint32_t byte) {
  return (byte >= 33 && byte <= 126) || (byte >= 161 && byte <= 172) || byte >= 174;
}

std::vector<std::string> byte_tokens() {
  std::vector<std::string> tokens(256);
  uint32_t next = 0x100;
  for (uint32_t byte = 0; byte < 256; ++byte)
    utf8_append(tokens[byte], prints_as_itself(byte) ? byte : next++);
  return tokens;
}

}  // namespace

uint32_t set_vocabulary(Vocabulary kind, formats::GgufBuilder& builder) {
  const bool qwen = kind == Vocabulary::qwen3;
  const std::span<const Special> specials =
      qwen ? std::span<const Special>(kQwenSpecials) : std::span<const Special>(kSmallSpecials);
  std::vector<std::string> tokens = byte_tokens();
  std::vector<std::string> merges;
  for (const auto& [left, right] : kMerges) {
    merges.push_back(std::string(left) + " " + std::string(right));
    tokens.push_back(std::string(left) + std::string(right));
  }
  std::vector<int32_t> types(tokens.size(), kNormal);
  const auto pad_to = [&](size_t count) {
    while (tokens.size() < count) {
      tokens.push_back("[PAD" + std::to_string(tokens.size()) + "]");
      types.push_back(kUnused);
    }
  };
  if (qwen) pad_to(kQwenFirstSpecial);
  const auto first_special = static_cast<uint32_t>(tokens.size());
  for (const Special& special : specials) {
    tokens.emplace_back(special.text);
    types.push_back(special.type);
  }
  pad_to(qwen ? kQwenTokens : kSmallTokens);
  const auto count = static_cast<uint32_t>(tokens.size());
  builder.set("tokenizer.ggml.model", std::string("gpt2"));
  builder.set("tokenizer.ggml.pre", std::string("qwen2"));
  builder.set_strings("tokenizer.ggml.tokens", std::move(tokens));
  builder.set_integers("tokenizer.ggml.token_type", types);
  builder.set_strings("tokenizer.ggml.merges", std::move(merges));
  builder.set("tokenizer.ggml.bos_token_id", first_special);        // <|endoftext|>
  builder.set("tokenizer.ggml.eos_token_id", first_special + 2);    // <|im_end|>
  builder.set("tokenizer.ggml.padding_token_id", first_special);
  builder.set("tokenizer.ggml.add_bos_token", false);
  builder.set("tokenizer.chat_template", std::string(kChatTemplate));
  return count;
}

}  // namespace swarm::engine::model
