#include "engine/text/tool_call_format.h"

#include <algorithm>
#include <cmath>

#include "engine/text/argument_types.h"

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

// The value as that type, or nullopt.
std::optional<Json> convert_to(JsonType type, std::string_view text) {
  text = trim(text);
  if (type == JsonType::boolean) {
    // Templates print booleans and none the way Python does, so models write them that way too.
    if (text == "true" || text == "True") return Json(true);
    if (text == "false" || text == "False") return Json(false);
    return std::nullopt;
  }
  if (type == JsonType::null)
    return text == "null" || text == "None" ? std::optional(Json(nullptr)) : std::nullopt;
  Result<Json> parsed = parse_json(text);
  if (!parsed) return std::nullopt;
  if (type == JsonType::integer) {
    if (parsed->is_number_integer()) return *std::move(parsed);
    if (!parsed->is_number_float()) return std::nullopt;
    const double value = parsed->get<double>();  // 3.0 is an integer in JSON Schema
    if (std::abs(value) > 9007199254740992.0 || value != std::floor(value)) return std::nullopt;
    return Json(static_cast<int64_t>(value));
  }
  const bool fits = (type == JsonType::number && parsed->is_number()) ||
                    (type == JsonType::object && parsed->is_object()) ||
                    (type == JsonType::array && parsed->is_array());
  return fits ? std::optional(*std::move(parsed)) : std::nullopt;
}

// One newline at each end belongs to the format.
std::string_view strip_newlines(std::string_view value) {
  if (value.starts_with('\n')) value.remove_prefix(1);
  if (value.ends_with('\n')) value.remove_suffix(1);
  return value;
}

// The parameters of the tool, and the schema in them of one parameter; null where there is none.
struct ParameterSchema {
  const Json& document;
  const Json& schema;
};

ParameterSchema parameter_schema(std::span<const ToolSchema> tools, std::string_view tool,
                                 const std::string& parameter) {
  static const Json none;
  const auto found = std::find_if(tools.begin(), tools.end(),
                                  [&](const ToolSchema& one) { return one.name == tool; });
  if (found == tools.end()) return {none, none};
  const Json* schema = find_property(found->parameters, found->parameters, parameter);
  return {found->parameters, schema == nullptr ? none : *schema};
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
    const auto [document, schema] = parameter_schema(tools, call.name, key);
    call.arguments[key] = convert_argument(strip_newlines(*value), schema, document);
  }
}

}  // namespace

std::optional<CallStyle> detect_call_style(std::string_view template_source) {
  if (template_source.find(kFunctionBegin) != std::string_view::npos) return CallStyle::coder_xml;
  if (template_source.find(kCallBegin) != std::string_view::npos) return CallStyle::json;
  return std::nullopt;
}

bool prompt_opens_thinking(std::string_view prompt) { return trim(prompt).ends_with(kThinkBegin); }

Json convert_argument(std::string_view value, const Json& schema, const Json& document) {
  if (schema.is_null()) return Json(std::string(value));
  if (auto listed = find_listed(schema, document, value)) return *std::move(listed);
  const TypeSet types = possible_types(schema, document);
  // The narrow types first: "null" for ["string", "null"] is null, everything else a string.
  for (const JsonType type : {JsonType::null, JsonType::boolean, JsonType::integer,
                              JsonType::number, JsonType::object, JsonType::array})
    if (types.has(type))
      if (auto converted = convert_to(type, value)) return *std::move(converted);
  // A schema that leaves the type open is answered in JSON, with quotes around text.
  if (types == TypeSet::all())
    if (auto parsed = parse_json(trim(value)); parsed && parsed->is_string())
      return *std::move(parsed);
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
