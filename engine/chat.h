// engine/chat.h — The text side of a model: messages to tokens, tokens to messages.
// A ChatCodec joins tokenizer, chat template, tool-call format and grammar compiler of one model.
// Immutable after construction and thread-safe (grammar caches are guarded inside).
// Message contents can never form control tokens; template literals can.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/json.h"
#include "engine/grammar/grammar.h"

namespace swarm::engine {

struct ChatToolCall {
  std::string name;
  Json arguments;                         // object
};

struct ChatMessage {
  std::string role;                       // system | user | assistant | tool
  std::string content = {};
  std::string reasoning = {};                 // assistant only
  std::vector<ChatToolCall> tool_calls = {};  // assistant only
};

struct ChatTool {
  std::string name;
  std::string description;
  Json parameters;                        // JSON Schema, passed on verbatim
};

struct ChatPrompt {
  std::vector<ChatMessage> messages;
  std::vector<ChatTool> tools = {};       // order is kept: part of the shared prefix
  std::optional<bool> enable_thinking = {};  // unset = the template's default
  bool add_generation_prompt = true;
};

// What a turn may say; see grammar::TurnSpec.
struct TurnRules {
  std::optional<Json> output_schema = {};
  grammar::OutputFormat output_format = grammar::OutputFormat::json;
  std::vector<ChatTool> tools = {};
  grammar::ToolChoice tool_choice = grammar::ToolChoice::automatic;
  std::string named_tool = {};
  int32_t calls_max = 16;
  std::optional<bool> enable_thinking = {};  // as in the ChatPrompt: reasoning stays free text
};

// What arrived while streaming.
struct ChatDelta {
  std::string content;                    // held back while it could begin a marker
  std::string reasoning;
  std::vector<ChatToolCall> tool_calls;   // complete ones
};

struct ChatReply {
  std::string content;
  std::string reasoning;
  std::vector<ChatToolCall> tool_calls;
  std::vector<std::string> malformed_calls;  // raw text of calls that did not parse
};

// Feed output tokens in order, then finish(). Not thread-safe; one per generation.
class ChatReader {
 public:
  virtual ~ChatReader() = default;
  virtual ChatDelta feed(TokenId token) = 0;
  // Here the model was cut off; what is fed from now on closes its text (Output::closing). A call
  // that is open is malformed, with the text that it has; one that would begin is left out.
  virtual void cut() = 0;
  virtual ChatReply finish() = 0;         // the whole reply; feed() may not be called any more
};

class ChatCodec {
 public:
  virtual ~ChatCodec() = default;

  // parse_control: added tokens written in the text become control tokens.
  virtual std::vector<TokenId> tokenize(std::string_view text, bool parse_control) const = 0;
  virtual std::string detokenize(std::span<const TokenId> tokens, bool skip_control) const = 0;
  virtual Result<std::vector<TokenId>> prompt(const ChatPrompt& chat) const = 0;
  virtual Result<std::string> prompt_text(const ChatPrompt& chat) const = 0;
  // nullptr inside the result when the rules allow everything (free text without tools).
  virtual Result<std::shared_ptr<const grammar::Grammar>> compile(const TurnRules& rules) const = 0;
  // enable_thinking: as in the ChatPrompt; it decides whether the reply begins inside reasoning.
  virtual std::unique_ptr<ChatReader> reader(std::span<const ChatTool> tools,
                                             std::optional<bool> enable_thinking) const = 0;
  std::unique_ptr<ChatReader> reader(std::span<const ChatTool> tools) const {
    return reader(tools, std::nullopt);
  }
  virtual std::span<const TokenId> stop_tokens() const = 0;
  virtual bool has_template() const = 0;
  // Why enable_thinking = true cannot have an effect: the vocabulary has no <think> and </think>,
  // or the template never lets the model use them. Error kind: invalid_input.
  virtual Result<void> check_thinking() const = 0;
};

// Whether a reply can be bound to this JSON Schema, whatever the model. The error begins with the
// JSON pointer of the place, "#/properties/a/type: ...". Takes as long as compiling it.
Result<void> check_output_schema(const Json& schema);

}  // namespace swarm::engine
