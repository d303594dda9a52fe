// engine/text/chat_template.h — A model's chat template: messages and tools to prompt text.
// The template comes from the model file and is run as it is; nothing about a model family is built
// in here. Immutable after parsing, shared, thread-safe. Errors: a template this build cannot read
// (at parse, with line and column), messages it refuses (at render).
// The result is MarkedText: only what the template itself wrote can become control tokens.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/json.h"
#include "engine/text/marked_text.h"

namespace swarm::engine::formats {
class GgufFile;
}

namespace swarm::engine::text {

namespace jinja {
class Template;
}

struct ToolCall {
  std::string name;
  Json arguments;  // an object, or the text of one as the model wrote it
  bool operator==(const ToolCall&) const = default;
};

struct Message {
  std::string role;                       // system | user | assistant | tool
  std::string content = {};
  std::optional<std::string> reasoning = {};  // unset: the template may look for it in the content
  std::vector<ToolCall> tool_calls = {};
  std::string tool_call_id = {};          // of a tool message; most templates ignore it
};

struct RenderOptions {
  bool add_generation_prompt = true;
  std::optional<bool> enable_thinking = {};  // unset = the template's default
  Json variables = Json::object();           // more variables by name; their text is not trusted
  // Names of special tokens a template may print (bos_token, eos_token); their text is trusted.
  std::vector<std::pair<std::string, std::string>> special_tokens = {};
};

// {"type": "function", "function": {"name", "description", "parameters"}}, in this order; an empty
// description is left out.
Json tool_json(std::string_view name, std::string_view description, const Json& parameters);
Json message_json(const Message& message);

class ChatTemplate {
  struct Key {};

 public:
  explicit ChatTemplate(Key) {}
  // name: what error locations call this text.
  static Result<std::shared_ptr<const ChatTemplate>> parse(std::string_view source,
                                                           std::string name);
  // tokenizer.chat_template of a model file; an error when it has none.
  static Result<std::shared_ptr<const ChatTemplate>> from_gguf(const formats::GgufFile& file);

  // tools: array of tool objects, passed on verbatim and in order; empty = none.
  Result<MarkedText> render(std::span<const Message> messages, const Json& tools,
                            const RenderOptions& options = {}) const;
  // The same from messages in their JSON form (array of objects).
  Result<MarkedText> render_json(const Json& messages, const Json& tools,
                                 const RenderOptions& options = {}) const;

  const std::string& source() const;

 private:
  std::shared_ptr<const jinja::Template> template_;
};

}  // namespace swarm::engine::text
