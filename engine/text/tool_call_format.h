// engine/text/tool_call_format.h — The two ways Qwen models write tool calls, one call at a time.
//   json:       <tool_call>\n{"name": "N", "arguments": {...}}\n</tool_call>
//   coder_xml:  <tool_call>\n<function=N>\n<parameter=P>\nVALUE\n</parameter>\n</function>\n
//               </tool_call>
// Reading a reply with calls in it is reply_parser.h; writing history is the chat template's job.
// Rules: reference/engine.md section 11. Pure functions, thread-safe; nothing here throws.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/json.h"
#include "engine/text/chat_template.h"

namespace swarm::engine::text {

enum class CallStyle : uint8_t { json, coder_xml };

inline constexpr std::string_view kCallBegin = "<tool_call>";
inline constexpr std::string_view kCallEnd = "</tool_call>";
inline constexpr std::string_view kFunctionBegin = "<function=";
inline constexpr std::string_view kFunctionEnd = "</function>";
inline constexpr std::string_view kParameterBegin = "<parameter=";
inline constexpr std::string_view kParameterEnd = "</parameter>";
inline constexpr std::string_view kThinkBegin = "<think>";
inline constexpr std::string_view kThinkEnd = "</think>";

// What a template teaches its model; nullopt when it knows no tool calls.
std::optional<CallStyle> detect_call_style(std::string_view template_source);

// True when the generation prompt ends inside an open <think>: the reply begins with reasoning.
bool prompt_opens_thinking(std::string_view prompt);

// The parameters of one tool: a JSON Schema with an object root.
struct ToolSchema {
  std::string name;
  Json parameters;
};

// The text between <tool_call> and </tool_call> in either style, whatever the model was taught:
// one JSON object with a name (arguments: an object, the text of one, null or missing), or one or
// more function elements. nullopt if it is anything else.
std::optional<std::vector<ToolCall>> parse_call_body(std::string_view body,
                                                     std::span<const ToolSchema> tools);

// An XML value by the type its schema asks for; what does not convert stays a string. document:
// what local references in schema point into. A null schema (no such parameter) means text.
Json convert_argument(std::string_view value, const Json& schema, const Json& document);

// The canonical form, with markers.
std::string render_call(CallStyle style, const ToolCall& call);

}  // namespace swarm::engine::text
