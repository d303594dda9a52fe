#include "orchestrator/cli/chat_input.h"

#include <algorithm>
#include <array>

namespace swarm::cli {
namespace {

using engine::ChatMessage;
using engine::ChatTool;
using engine::ChatToolCall;

Error wrong(const std::string& file, const std::string& where, const std::string& expected,
            const Json* found) {
  Error error = invalid_input(where + ": expected " + expected + ", found " +
                              (found == nullptr ? "nothing" : dump_json(*found).substr(0, 60)));
  error.location.file = file;
  return error;
}

const Json* member(const Json& object, const char* key) {
  const auto found = object.find(key);
  return found == object.end() ? nullptr : &*found;
}

Result<std::string> text_member(const Json& object, const char* key, const std::string& file,
                                const std::string& where, bool required) {
  const Json* value = member(object, key);
  if (value != nullptr && value->is_string()) return value->get<std::string>();
  if (!required && (value == nullptr || value->is_null())) return std::string();
  return wrong(file, where + "." + key, "a string", value);
}

// {"function": {...}} or the inner object itself.
const Json& function_of(const Json& value) {
  const Json* inner = value.is_object() ? member(value, "function") : nullptr;
  return inner != nullptr && inner->is_object() ? *inner : value;
}

Result<ChatToolCall> read_call(const Json& value, const std::string& file,
                               const std::string& where) {
  const Json& function = function_of(value);
  if (!function.is_object()) return wrong(file, where, "an object", &value);
  ChatToolCall call;
  SWARM_TRY(call.name, text_member(function, "name", file, where, true));
  const Json* arguments = member(function, "arguments");
  call.arguments = arguments == nullptr ? Json::object() : *arguments;
  if (call.arguments.is_string()) {   // the API sends the object as text
    SWARM_TRY(Json parsed, parse_json(call.arguments.get<std::string>(), file));
    call.arguments = std::move(parsed);
  }
  if (!call.arguments.is_object())
    return wrong(file, where + ".arguments", "an object", &call.arguments);
  return call;
}

Result<ChatMessage> read_message(const Json& value, const std::string& file,
                                 const std::string& where) {
  constexpr std::array<std::string_view, 4> kRoles{"system", "user", "assistant", "tool"};
  if (!value.is_object()) return wrong(file, where, "an object", &value);
  ChatMessage message;
  SWARM_TRY(message.role, text_member(value, "role", file, where, true));
  if (std::ranges::find(kRoles, message.role) == kRoles.end())
    return wrong(file, where + ".role", "system, user, assistant or tool", member(value, "role"));
  const bool speaks = message.role != "assistant";
  SWARM_TRY(message.content, text_member(value, "content", file, where, speaks));
  SWARM_TRY(message.reasoning, text_member(value, "reasoning_content", file, where, false));
  const Json* calls = member(value, "tool_calls");
  if (calls == nullptr || calls->is_null()) return message;
  if (!calls->is_array()) return wrong(file, where + ".tool_calls", "an array", calls);
  for (size_t i = 0; i < calls->size(); ++i) {
    SWARM_TRY(ChatToolCall call,
              read_call((*calls)[i], file, where + ".tool_calls[" + std::to_string(i) + "]"));
    message.tool_calls.push_back(std::move(call));
  }
  return message;
}

Result<ChatTool> read_tool(const Json& value, const std::string& file, const std::string& where) {
  const Json& function = function_of(value);
  if (!function.is_object()) return wrong(file, where, "an object", &value);
  ChatTool tool;
  SWARM_TRY(tool.name, text_member(function, "name", file, where, true));
  SWARM_TRY(tool.description, text_member(function, "description", file, where, false));
  const Json* parameters = member(function, "parameters");
  tool.parameters = parameters == nullptr ? Json{{"type", "object"}} : *parameters;
  if (!tool.parameters.is_object())
    return wrong(file, where + ".parameters", "a JSON Schema object", parameters);
  return tool;
}

Result<Json> parse_array(const std::string& text, const std::string& name, const char* what) {
  SWARM_TRY(Json value, parse_json(text, name));
  if (!value.is_array()) return wrong(name, what, "an array", &value);
  return value;
}

}  // namespace

Result<std::vector<ChatMessage>> parse_messages(const std::string& text, const std::string& name) {
  SWARM_TRY(const Json array, parse_array(text, name, "messages"));
  std::vector<ChatMessage> messages;
  for (size_t i = 0; i < array.size(); ++i) {
    SWARM_TRY(ChatMessage message,
              read_message(array[i], name, "messages[" + std::to_string(i) + "]"));
    messages.push_back(std::move(message));
  }
  if (messages.empty()) return wrong(name, "messages", "at least one message", &array);
  return messages;
}

Result<std::vector<ChatTool>> parse_tools(const std::string& text, const std::string& name) {
  SWARM_TRY(const Json array, parse_array(text, name, "tools"));
  std::vector<ChatTool> tools;
  for (size_t i = 0; i < array.size(); ++i) {
    SWARM_TRY(ChatTool tool, read_tool(array[i], name, "tools[" + std::to_string(i) + "]"));
    tools.push_back(std::move(tool));
  }
  return tools;
}

Json calls_json(const std::vector<ChatToolCall>& calls) {
  Json out = Json::array();
  for (const ChatToolCall& call : calls)
    out.push_back({{"name", call.name}, {"arguments", call.arguments}});
  return out;
}

}  // namespace swarm::cli
