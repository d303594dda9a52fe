#include "mcp/client/result.h"

#include <set>

#include "engine/base/rng.h"
#include "mcp/message/json_member.h"

namespace swarm::mcp {
namespace {

constexpr size_t kNameMax = 64;

// Bytes that base64 text stands for.
size_t decoded_bytes(const std::string& base64) {
  size_t padding = 0;
  while (padding < 2 && padding < base64.size() && base64[base64.size() - 1 - padding] == '=')
    ++padding;
  return base64.size() / 4 * 3 - padding;
}

std::string blob_note(const std::string& what, const Json& block, const char* data_key) {
  const std::string data = text_member(block, data_key);
  const std::string type = text_member(block, "mimeType");
  return "[" + what + (type.empty() ? "" : ", " + type) + ", " +
         std::to_string(data.empty() ? 0 : decoded_bytes(data)) + " bytes, not shown]";
}

std::string resource_text(const Json& block) {
  const auto resource = block.find("resource");
  if (resource == block.end() || !resource->is_object()) return "[empty resource]";
  const auto text = resource->find("text");
  if (text != resource->end() && text->is_string()) return text->get<std::string>();
  return blob_note("resource " + text_member(*resource, "uri"), *resource, "blob");
}

std::string block_text(const Json& block) {
  if (!block.is_object()) return "[unreadable content]";
  const std::string type = text_member(block, "type");
  if (type == "text") return text_member(block, "text");
  if (type == "image" || type == "audio") return blob_note(type, block, "data");
  if (type == "resource") return resource_text(block);
  if (type == "resource_link") {
    const std::string name = text_member(block, "name");
    return "[resource link " + (name.empty() ? "" : "\"" + name + "\" ") +
           text_member(block, "uri") + "]";
  }
  return "[content of type \"" + type + "\", not shown]";
}

// Annotated as not for the model.
bool is_for_user_only(const Json& block) {
  const Json annotations = block.is_object() ? block.value("annotations", Json()) : Json();
  return annotations.is_object() && annotations.value("audience", Json()) == Json::array({"user"});
}

// Member order is irrelevant for being a repetition.
bool same(const Json& a, const Json& b) {
  using Sorted = nlohmann::json;
  const auto sorted = [](const Json& value) {
    return Sorted::parse(dump_json(value), nullptr, false);
  };
  return sorted(a) == sorted(b);
}

// Servers repeat their text as {"anything": text}, too, or the value of the only member as text.
bool repeats(const std::string& text, const Json& structured) {
  const bool wrapped = structured.is_object() && structured.size() == 1;
  if (wrapped && structured.front().is_string() && structured.front() == text) return true;
  const auto parsed = parse_json(text);
  if (!parsed) return false;
  return same(*parsed, structured) || (wrapped && same(*parsed, structured.front()));
}

std::string sanitized(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '-';
    out += fine ? c : '_';
  }
  return out;
}

std::string hashed(const std::string& name, std::string_view server, std::string_view tool) {
  constexpr char kDigits[] = "0123456789abcdef";
  uint64_t hash = hash_text(tool, hash_text(std::string(server) + '\n'));
  std::string tail = "_";
  for (int i = 0; i < 8; ++i, hash >>= 4) tail += kDigits[hash & 15];
  return name.substr(0, kNameMax - tail.size()) + tail;
}

}  // namespace

tools::ToolResult tool_result(const Json& result) {
  tools::ToolResult out;
  if (!result.is_object()) {
    out.text = "the server sent a result that is not an object";
    out.is_error = true;
    return out;
  }
  const auto error = result.find("isError");
  out.is_error = error != result.end() && error->is_boolean() && error->get<bool>();
  const auto structured = result.find("structuredContent");
  bool repeated = structured == result.end() || structured->is_null();
  bool any = false;
  if (const auto content = result.find("content"); content != result.end() && content->is_array())
    for (const Json& block : *content) {
      if (is_for_user_only(block)) continue;
      const std::string text = block_text(block);
      if (!repeated && text_member(block, "type") == "text") repeated = repeats(text, *structured);
      out.text += (any ? "\n" : "") + text;
      any = true;
    }
  if (!repeated) out.text += (any ? "\n" : "") + dump_json(*structured);
  return out;
}

std::map<std::string, std::string> public_names(std::string_view server,
                                                const std::vector<std::string>& tool_names) {
  std::map<std::string, int> uses;
  const auto plain = [&](const std::string& tool) {
    return std::string(server) + "__" + sanitized(tool);
  };
  for (const std::string& tool : tool_names) ++uses[plain(tool)];
  std::map<std::string, std::string> out;
  for (const std::string& tool : tool_names) {
    const std::string name = plain(tool);
    const bool changed = sanitized(tool) != tool;
    const bool keep = name.size() <= kNameMax && (uses[name] == 1 || !changed);
    out[tool] = keep ? name : hashed(name, server, tool);
  }
  return out;
}

tools::Effect effect_of(const Json& tool) {
  const auto hints = tool.find("annotations");
  if (hints == tool.end() || !hints->is_object()) return tools::Effect::once;
  const auto says = [&](const char* key) {
    const auto found = hints->find(key);
    return found != hints->end() && found->is_boolean() && found->get<bool>();
  };
  if (says("readOnlyHint")) return tools::Effect::read;
  return says("idempotentHint") ? tools::Effect::idempotent : tools::Effect::once;
}

}  // namespace swarm::mcp
