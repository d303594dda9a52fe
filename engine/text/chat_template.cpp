#include "engine/text/chat_template.h"

#include "engine/formats/gguf.h"
#include "engine/text/jinja/jinja.h"

namespace swarm::engine::text {
namespace {

Result<jinja::Dict> variables_of(const Json& messages, const Json& tools,
                                 const RenderOptions& options) {
  if (!messages.is_array()) return invalid_input("expected messages as an array of objects");
  for (const Json& message : messages)
    if (!message.is_object()) return invalid_input("expected every message to be an object");
  if (!tools.is_array() && !tools.is_null())
    return invalid_input("expected tools as an array of objects");
  if (!options.variables.is_object()) return invalid_input("expected variables as an object");
  jinja::Dict out;
  const auto set = [&](const std::string& name, jinja::Value value) {
    for (auto& [held_name, held] : out)
      if (held_name == name) {
        held = std::move(value);
        return;
      }
    out.emplace_back(name, std::move(value));
  };
  try {
    set("messages", jinja::Value::from_json(messages));
    // Templates ask both "if tools" and "tools is defined": absent tools are none, as elsewhere.
    set("tools", tools.empty() ? jinja::Value::none() : jinja::Value::from_json(tools));
    set("documents", jinja::Value::none());
    set("add_generation_prompt", jinja::Value::boolean(options.add_generation_prompt));
    if (options.enable_thinking)
      set("enable_thinking", jinja::Value::boolean(*options.enable_thinking));
    for (const auto& [name, text] : options.special_tokens)
      set(name, jinja::Value::string(text, Trust::trusted));
    for (const auto& [name, value] : options.variables.items())
      set(name, jinja::Value::from_json(value));
  } catch (const jinja::Failure& failure) {
    return Error{failure.kind, failure.message, {}};
  }
  return out;
}

}  // namespace

Json tool_json(std::string_view name, std::string_view description, const Json& parameters) {
  Json function = {{"name", std::string(name)}};
  if (!description.empty()) function["description"] = std::string(description);
  function["parameters"] = parameters;
  Json out = Json::object();
  out["type"] = "function";
  out["function"] = std::move(function);
  return out;
}

Json message_json(const Message& message) {
  Json out = Json::object();
  out["role"] = message.role;
  out["content"] = message.content;
  if (message.reasoning) out["reasoning_content"] = *message.reasoning;
  if (!message.tool_call_id.empty()) out["tool_call_id"] = message.tool_call_id;
  if (message.tool_calls.empty()) return out;
  Json calls = Json::array();
  for (const ToolCall& call : message.tool_calls) {
    Json function = Json::object();
    function["name"] = call.name;
    function["arguments"] = call.arguments;
    Json entry = Json::object();
    entry["type"] = "function";
    entry["function"] = std::move(function);
    calls.push_back(std::move(entry));
  }
  out["tool_calls"] = std::move(calls);
  return out;
}

Result<std::shared_ptr<const ChatTemplate>> ChatTemplate::parse(std::string_view source,
                                                                std::string name) {
  auto made = std::make_shared<ChatTemplate>(Key{});
  SWARM_TRY(made->template_, jinja::Template::parse(source, std::move(name)));
  return std::shared_ptr<const ChatTemplate>(std::move(made));
}

Result<std::shared_ptr<const ChatTemplate>> ChatTemplate::from_gguf(
    const formats::GgufFile& file) {
  constexpr std::string_view key = "tokenizer.chat_template";
  if (!file.has(key)) return unsupported(file.name() + ": the model has no chat template");
  SWARM_TRY(const std::string_view source, file.text(key));
  return parse(source, file.name() + ":" + std::string(key));
}

Result<MarkedText> ChatTemplate::render(std::span<const Message> messages, const Json& tools,
                                        const RenderOptions& options) const {
  Json list = Json::array();
  for (const Message& message : messages) list.push_back(message_json(message));
  return render_json(list, tools, options);
}

Result<MarkedText> ChatTemplate::render_json(const Json& messages, const Json& tools,
                                             const RenderOptions& options) const {
  SWARM_TRY(const jinja::Dict variables, variables_of(messages, tools, options));
  return template_->render(variables);
}

const std::string& ChatTemplate::source() const { return template_->source(); }

}  // namespace swarm::engine::text
