#include "engine/text/tool_call_format.h"

#include <algorithm>
#include <cmath>

namespace swarm::engine::text {
namespace {

constexpr std::string_view kBlank = " \t\r\n";

std::string_view trim(std::string_view text) {
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string_view::npos) return {};
  return text.substr(begin, text.find_last_not_of(kBlank) - begin + 1);
}

std::optional<ToolCall> parse_json_call(std::string_view body) {
  const Result<Json> parsed = parse_json(body);
  if (!parsed || !parsed->is_object()) return std::nullopt;
  const auto name = parsed->find("name");
  if (name == parsed->end() || !name->is_string() || name->get_ref<const std::string&>().empty())
    return std::nullopt;
  ToolCall call{.name = name->get<std::string>(), .arguments = Json::object()};
  const auto arguments = parsed->find("arguments");
  if (arguments == parsed->end() || arguments->is_null()) return call;
  call.arguments = *arguments;
  if (arguments->is_string()) {
    Result<Json> inner = parse_json(arguments->get_ref<const std::string&>());
    if (!inner) return std::nullopt;
    call.arguments = *std::move(inner);
  }
  if (!call.arguments.is_object()) return std::nullopt;
  return call;
}

void collect_types(const Json& schema, std::vector<std::string>& out, int depth = 0) {
  if (!schema.is_object() || depth > 8) return;
  if (const auto type = schema.find("type"); type != schema.end()) {
    if (type->is_string()) out.push_back(type->get<std::string>());
    if (type->is_array())
      for (const Json& one : *type)
        if (one.is_string()) out.push_back(one.get<std::string>());
  }
  for (const char* key : {"anyOf", "oneOf"})
    if (const auto any = schema.find(key); any != schema.end() && any->is_array())
      for (const Json& one : *any) collect_types(one, out, depth + 1);
}

// The value as that type, or nullopt.
std::optional<Json> convert_to(std::string_view type, std::string_view text) {
  text = trim(text);
  if (type == "boolean") {
    // Templates print booleans and none the way Python does, so models write them that way too.
    if (text == "true" || text == "True") return Json(true);
    if (text == "false" || text == "False") return Json(false);
    return std::nullopt;
  }
  if (type == "null")
    return text == "null" || text == "None" ? std::optional(Json(nullptr)) : std::nullopt;
  Result<Json> parsed = parse_json(text);
  if (!parsed) return std::nullopt;
  if (type == "integer") {
    if (parsed->is_number_integer()) return *std::move(parsed);
    if (!parsed->is_number_float()) return std::nullopt;
    const double value = parsed->get<double>();  // 3.0 is an integer in JSON Schema
    if (std::abs(value) > 9007199254740992.0 || value != std::floor(value)) return std::nullopt;
    return Json(static_cast<int64_t>(value));
  }
  const bool fits = (type == "number" && parsed->is_number()) ||
                    (type == "object" && parsed->is_object()) ||
                    (type == "array" && parsed->is_array());
  return fits ? std::optional(*std::move(parsed)) : std::nullopt;
}

// One newline at each end belongs to the format.
std::string_view strip_newlines(std::string_view value) {
  if (value.starts_with('\n')) value.remove_prefix(1);
  if (value.ends_with('\n')) value.remove_suffix(1);
  return value;
}

const Json& parameter_schema(std::span<const ToolSchema> tools, std::string_view tool,
                             const std::string& parameter) {
  static const Json none;
  const auto found = std::find_if(tools.begin(), tools.end(),
                                  [&](const ToolSchema& one) { return one.name == tool; });
  if (found == tools.end() || !found->parameters.is_object()) return none;
  const auto properties = found->parameters.find("properties");
  if (properties == found->parameters.end() || !properties->is_object()) return none;
  const auto schema = properties->find(parameter);
  return schema == properties->end() ? none : *schema;
}

// Reads elements of the XML form from the front of a text.
class XmlReader {
 public:
  explicit XmlReader(std::string_view text) : rest_(text) {}

  bool at_end() const { return rest_.empty(); }
  void skip_blank() {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(kBlank), rest_.size()));
  }
  bool take(std::string_view word) {
    if (!rest_.starts_with(word)) return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  // Everything before the next `end`, which is consumed.
  std::optional<std::string_view> take_until(std::string_view end) {
    const size_t at = rest_.find(end);
    if (at == std::string_view::npos) return std::nullopt;
    const std::string_view out = rest_.substr(0, at);
    rest_.remove_prefix(at + end.size());
    return out;
  }

 private:
  std::string_view rest_;
};

std::optional<ToolCall> parse_function(XmlReader& reader, std::span<const ToolSchema> tools) {
  if (!reader.take(kFunctionBegin)) return std::nullopt;
  const auto name = reader.take_until(">");
  if (!name || trim(*name).empty()) return std::nullopt;
  ToolCall call{.name = std::string(trim(*name)), .arguments = Json::object()};
  for (;;) {
    reader.skip_blank();
    if (reader.take(kFunctionEnd)) return call;
    if (!reader.take(kParameterBegin)) return std::nullopt;
    const auto parameter = reader.take_until(">");
    const auto value = reader.take_until(kParameterEnd);
    if (!parameter || !value || trim(*parameter).empty()) return std::nullopt;
    const std::string key(trim(*parameter));
    if (call.arguments.contains(key)) return std::nullopt;  // one of the values would be lost
    call.arguments[key] =
        convert_argument(strip_newlines(*value), parameter_schema(tools, call.name, key));
  }
}

}  // namespace

std::optional<CallStyle> detect_call_style(std::string_view template_source) {
  if (template_source.find(kFunctionBegin) != std::string_view::npos) return CallStyle::coder_xml;
  if (template_source.find(kCallBegin) != std::string_view::npos) return CallStyle::json;
  return std::nullopt;
}

bool prompt_opens_thinking(std::string_view prompt) { return trim(prompt).ends_with(kThinkBegin); }

Json convert_argument(std::string_view value, const Json& schema) {
  std::vector<std::string> types;
  collect_types(schema, types);
  // The narrow types first: "null" for ["string", "null"] is null, everything else a string.
  for (const std::string_view type : {"null", "boolean", "integer", "number", "object", "array"})
    if (std::find(types.begin(), types.end(), type) != types.end())
      if (auto converted = convert_to(type, value)) return *std::move(converted);
  return Json(std::string(value));
}

std::optional<std::vector<ToolCall>> parse_call_body(std::string_view body,
                                                     std::span<const ToolSchema> tools) {
  body = trim(body);
  std::vector<ToolCall> calls;
  if (body.starts_with('{')) {
    auto call = parse_json_call(body);
    if (!call) return std::nullopt;
    calls.push_back(*std::move(call));
    return calls;
  }
  for (XmlReader reader(body); !reader.at_end(); reader.skip_blank()) {
    auto call = parse_function(reader, tools);
    if (!call) return std::nullopt;
    calls.push_back(*std::move(call));
  }
  if (calls.empty()) return std::nullopt;
  return calls;
}

std::string render_call(CallStyle style, const ToolCall& call) {
  std::string out = std::string(kCallBegin) + "\n";
  if (style == CallStyle::json) {
    out += "{\"name\": " + dump_json_spaced(Json(call.name)) +
           ", \"arguments\": " + dump_json_spaced(call.arguments) + "}\n";
  } else {
    out += std::string(kFunctionBegin) + call.name + ">\n";
    for (const auto& [key, value] : call.arguments.items()) {
      const std::string text =
          value.is_string() ? value.get<std::string>() : dump_json_spaced(value);
      out += std::string(kParameterBegin) + key + ">\n" + text + "\n" +
             std::string(kParameterEnd) + "\n";
    }
    out += std::string(kFunctionEnd) + "\n";
  }
  return out + std::string(kCallEnd);
}

}  // namespace swarm::engine::text
