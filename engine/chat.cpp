#include "engine/chat.h"

#include <algorithm>
#include <array>

#include "engine/chat_codec.h"
#include "engine/chat_reader.h"
#include "engine/grammar/schema_compiler.h"
#include "engine/text/chat_template.h"
#include "engine/text/tokenizer.h"
#include "engine/text/tool_call_format.h"

namespace swarm::engine {
namespace {

// Official helper text of the think budget: reference/engine.md section 12.
constexpr std::string_view kThinkClosing =
    "\n\nConsidering the limited time by the user, I have to give the solution based on the "
    "thinking directly now.\n</think>\n\n";

// How a prompt leaves the reply: reasoning cannot occur, has begun already, or may begin.
enum class Reasoning : uint8_t { none, open, possible };

class TokenizerEncoder final : public grammar::TextEncoder {
 public:
  explicit TokenizerEncoder(std::shared_ptr<const text::Tokenizer> tokenizer)
      : tokenizer_(std::move(tokenizer)) {}
  std::vector<TokenId> encode(std::string_view text) const override {
    return tokenizer_->encode(text);
  }

 private:
  std::shared_ptr<const text::Tokenizer> tokenizer_;   // shared with the codec
};

text::Message to_text(const ChatMessage& message) {
  text::Message out{.role = message.role, .content = message.content};
  if (!message.reasoning.empty()) out.reasoning = message.reasoning;
  for (const ChatToolCall& call : message.tool_calls)
    out.tool_calls.push_back({.name = call.name, .arguments = call.arguments});
  return out;
}

// Ids that mean something: without the unused slots at the end.
int32_t meaningful_tokens(const text::Tokenizer& tokenizer) {
  auto count = static_cast<int32_t>(tokenizer.size());
  while (count > 0 && tokenizer.is_special(count - 1) && tokenizer.token_bytes(count - 1).empty())
    --count;
  return count;
}

grammar::Vocabulary grammar_vocabulary(const text::Tokenizer& tokenizer, int32_t count) {
  grammar::Vocabulary vocabulary{.bytes = tokenizer.all_bytes(),
                                 .special = tokenizer.all_special(),
                                 .stop = {}};
  vocabulary.bytes.resize(static_cast<size_t>(count));
  vocabulary.special.resize(static_cast<size_t>(count));
  for (const TokenId stop : tokenizer.stop_ids())
    if (stop < count) vocabulary.stop.push_back(stop);
  return vocabulary;
}

class Codec final : public ChatCodec {
 public:
  Codec(std::shared_ptr<const text::Tokenizer> tokenizer,
        Result<std::shared_ptr<const text::ChatTemplate>> chat_template)
      : tokenizer_(std::move(tokenizer)), template_(std::move(chat_template)),
        encoder_(tokenizer_), vocab_(meaningful_tokens(*tokenizer_)),
        compiler_(std::make_unique<grammar::GrammarCompiler>(
            grammar_vocabulary(*tokenizer_, vocab_), encoder_)),
        stop_(tokenizer_->stop_ids().begin(), tokenizer_->stop_ids().end()) {
    if (template_)
      call_style_ = text::detect_call_style((*template_)->source()).value_or(call_style_);
    think_begin_ = tokenizer_->find_special("<think>").value_or(-1);
    think_end_ = tokenizer_->find_special("</think>").value_or(-1);
    for (size_t i = 0; i < reasoning_.size(); ++i) reasoning_[i] = probe(kThinkingStates[i]);
  }

  int32_t vocab() const { return vocab_; }

  ThinkMarkers think_markers() const {
    if (think_begin_ < 0 || think_end_ < 0) return {};
    return {.begin = think_begin_, .end = think_end_,
            .closing = tokenizer_->encode_with_specials(kThinkClosing)};
  }

  std::vector<TokenId> tokenize(std::string_view text, bool parse_control) const override {
    return parse_control ? tokenizer_->encode_with_specials(text) : tokenizer_->encode(text);
  }

  std::string detokenize(std::span<const TokenId> tokens, bool skip_control) const override {
    return tokenizer_->decode(tokens, skip_control);
  }

  Result<std::vector<TokenId>> prompt(const ChatPrompt& chat) const override {
    SWARM_TRY(const text::MarkedText text, render(chat));
    std::vector<TokenId> tokens = tokenizer_->encode(text);
    const std::optional<TokenId> leading = tokenizer_->leading_token();
    if (leading && (tokens.empty() || tokens.front() != *leading))
      tokens.insert(tokens.begin(), *leading);
    return tokens;
  }

  Result<std::string> prompt_text(const ChatPrompt& chat) const override {
    SWARM_TRY(const text::MarkedText text, render(chat));
    return text.text();
  }

  Result<std::shared_ptr<const grammar::Grammar>> compile(const TurnRules& rules) const override {
    const bool calls = !rules.tools.empty() && rules.tool_choice != grammar::ToolChoice::none;
    if (!rules.output_schema && !calls && rules.tool_choice != grammar::ToolChoice::required &&
        rules.tool_choice != grammar::ToolChoice::named)
      return std::shared_ptr<const grammar::Grammar>();
    grammar::TurnSpec spec{.output_schema = rules.output_schema,
                           .output_format = rules.output_format,
                           .tools = {},
                           .tool_choice = rules.tool_choice,
                           .named_tool = rules.named_tool,
                           .call_format = call_style_ == text::CallStyle::json
                                              ? grammar::CallFormat::json
                                              : grammar::CallFormat::coder_xml,
                           .calls_max = rules.calls_max};
    for (const ChatTool& tool : rules.tools)
      spec.tools.push_back({.name = tool.name, .parameters = tool.parameters});
    spec.tool_call_begin = tokenizer_->find_special("<tool_call>").value_or(-1);
    spec.tool_call_end = tokenizer_->find_special("</tool_call>").value_or(-1);
    const Reasoning start = reasoning(rules.enable_thinking);
    if (start != Reasoning::none) spec.think_end = think_end_;
    if (start == Reasoning::possible) spec.think_begin = think_begin_;
    return compiler_->compile(spec);
  }

  using ChatCodec::reader;
  std::unique_ptr<ChatReader> reader(std::span<const ChatTool> tools,
                                     std::optional<bool> enable_thinking) const override {
    text::ReplyOptions options{.style = call_style_,
                               .reads_calls = !tools.empty(),
                               .opens_thinking = reasoning(enable_thinking) == Reasoning::open};
    for (const ChatTool& tool : tools)
      options.tools.push_back({.name = tool.name, .parameters = tool.parameters});
    return make_chat_reader(tokenizer_, std::move(options));
  }

  std::span<const TokenId> stop_tokens() const override { return stop_; }
  bool has_template() const override { return template_.has_value(); }

  Result<void> check_thinking() const override {
    if (think_begin_ < 0 || think_end_ < 0)
      return invalid_input("this model cannot think: its vocabulary has no <think> and </think>");
    if (template_ && reasoning(true) == Reasoning::none)
      return invalid_input("this model cannot think: its chat template leaves no room for it");
    return {};
  }

 private:
  static constexpr std::array<std::optional<bool>, 3> kThinkingStates{std::nullopt, false, true};

  Result<text::MarkedText> render(const ChatPrompt& chat) const {
    if (!template_) return template_.error();
    std::vector<text::Message> messages;
    for (const ChatMessage& message : chat.messages) messages.push_back(to_text(message));
    Json tools = Json::array();
    for (const ChatTool& tool : chat.tools)
      tools.push_back(text::tool_json(tool.name, tool.description, tool.parameters));
    text::RenderOptions options{.add_generation_prompt = chat.add_generation_prompt,
                                .enable_thinking = chat.enable_thinking};
    for (const auto& [name, id] : {std::pair{"bos_token", tokenizer_->bos()},
                                   std::pair{"eos_token", tokenizer_->eos()},
                                   std::pair{"pad_token", tokenizer_->padding()}})
      if (id) options.special_tokens.emplace_back(name, tokenizer_->token_bytes(*id));
    return (*template_)->render(messages, tools, options);
  }

  // What the template writes before the reply decides; a template that never speaks of reasoning
  // belongs to a model that does not reason.
  Reasoning probe(std::optional<bool> enable_thinking) const {
    if (think_begin_ < 0 || think_end_ < 0 || !template_) return Reasoning::none;
    const auto tokens = prompt({.messages = {{.role = "user", .content = "?"}},
                                .tools = {},
                                .enable_thinking = enable_thinking});
    if (!tokens) return Reasoning::none;
    for (size_t i = tokens->size(); i-- > 0;) {
      if ((*tokens)[i] == think_end_) return Reasoning::none;
      if ((*tokens)[i] == think_begin_) return Reasoning::open;
    }
    const bool speaks = (*template_)->source().find("<think>") != std::string::npos;
    return speaks && enable_thinking != false ? Reasoning::possible : Reasoning::none;
  }

  Reasoning reasoning(std::optional<bool> enable_thinking) const {
    return reasoning_[enable_thinking ? (*enable_thinking ? 2 : 1) : 0];
  }

  std::shared_ptr<const text::Tokenizer> tokenizer_;   // shared with readers
  Result<std::shared_ptr<const text::ChatTemplate>> template_;
  TokenizerEncoder encoder_;
  int32_t vocab_;
  std::unique_ptr<grammar::GrammarCompiler> compiler_;   // thread-safe
  std::vector<TokenId> stop_;
  text::CallStyle call_style_ = text::CallStyle::json;
  TokenId think_begin_ = -1;
  TokenId think_end_ = -1;
  std::array<Reasoning, 3> reasoning_{};
};

}  // namespace

// What is wrong inside a model file is the file's fault, not that of who named it.
Error of_file(Error error) {
  if (error.kind == ErrorKind::invalid_input) error.kind = ErrorKind::environment;
  return error;
}

TextSide open_text_side(const formats::GgufFile& file, int32_t model_vocab) {
  auto tokenizer = text::Tokenizer::from_gguf(file);
  if (!tokenizer) return {.codec = of_file(std::move(tokenizer).error())};
  if ((*tokenizer)->size() > static_cast<size_t>(model_vocab))
    return {.codec = environment_error(
                file.name() + ": the tokenizer has " + std::to_string((*tokenizer)->size()) +
                " tokens, the model only " + std::to_string(model_vocab))};
  const auto codec =
      std::make_shared<const Codec>(std::move(*tokenizer), text::ChatTemplate::from_gguf(file));
  return {.codec = std::shared_ptr<const ChatCodec>(codec), .vocab = codec->vocab(),
          .think = codec->think_markers()};
}

Result<void> check_output_schema(const Json& schema) {
  grammar::RtnBuilder builder;
  grammar::RuleSet rules(builder);
  const auto rule = grammar::SchemaCompiler(rules, schema, "").compile();
  if (!rule) return rule.error();
  return {};
}

}  // namespace swarm::engine
