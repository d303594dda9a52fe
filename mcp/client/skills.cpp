#include "mcp/client/skills.h"

#include <sstream>

#include "mcp/auth/crypto.h"
#include "mcp/message/header_value.h"
#include "mcp/message/json_member.h"

namespace swarm::mcp {
namespace {

constexpr const char* kBlank = " \t\r";

std::string trimmed(const std::string& text) {
  const size_t begin = text.find_first_not_of(kBlank);
  if (begin == std::string::npos) return "";
  return text.substr(begin, text.find_last_not_of(kBlank) + 1 - begin);
}

std::string hex(const std::string& bytes) {
  constexpr char kDigits[] = "0123456789abcdef";
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    out += kDigits[byte >> 4];
    out += kDigits[byte & 15];
  }
  return out;
}

Error mismatch(const std::string& uri, const std::string& what) {
  return environment_error("skill file " + uri + " is not what was announced: " + what);
}

// A plain or quoted YAML text on one line.
Result<std::string> scalar(const std::string& text) {
  if (text.empty()) return invalid_input("frontmatter: expected a text on the line of its name");
  if (text[0] == '"') {
    const auto parsed = parse_json(text, "frontmatter");
    if (!parsed || !parsed->is_string()) return invalid_input("frontmatter: unreadable text");
    return parsed->get<std::string>();
  }
  if (text[0] == '\'') {
    std::string out;
    for (size_t i = 1; i < text.size(); ++i) {
      if (text[i] != '\'') {
        out += text[i];
      } else if (i + 1 < text.size() && text[i + 1] == '\'') {
        out += text[i++];
      } else if (i + 1 == text.size()) {
        return out;
      } else {
        break;
      }
    }
    return invalid_input("frontmatter: unreadable text");
  }
  if (std::string("[{|>&*!%@`#-?").find(text[0]) != std::string::npos)
    return invalid_input("frontmatter: only texts are understood");
  return trimmed(text.substr(0, text.find(" #")));
}

std::string as_compared(const Json& value) {
  return value.is_string() ? value.get<std::string>() : dump_json(value);
}

Result<void> compare_frontmatter(const Json& entry, const std::string& uri,
                                 const std::string& bytes) {
  const auto found = parse_frontmatter(bytes);
  if (!found) return mismatch(uri, found.error().message);
  const Json announced = object_member(entry, "frontmatter");
  for (const auto& [name, value] : announced.items())
    if (!found->contains(name) || as_compared(found->at(name)) != as_compared(value))
      return mismatch(uri, "frontmatter field \"" + name + "\"");
  for (const auto& [name, value] : found->items())
    if (!announced.contains(name)) return mismatch(uri, "frontmatter field \"" + name + "\"");
  return {};
}

}  // namespace

Result<std::string> resource_bytes(const Json& result) {
  const auto contents = result.is_object() ? result.find("contents") : result.end();
  if (!result.is_object() || contents == result.end() || !contents->is_array() ||
      contents->size() != 1 || !contents->front().is_object())
    return environment_error("resources/read: expected one content");
  const Json& one = contents->front();
  if (const auto text = one.find("text"); text != one.end() && text->is_string())
    return text->get<std::string>();
  const auto bytes = base64_decode(text_member(one, "blob"));
  if (!bytes) return environment_error("resources/read: blob is not base64");
  return *bytes;
}

Result<void> verify_skill_file(const Json& entry, const std::string& uri,
                               const std::string& bytes) {
  const auto files = entry.is_object() ? entry.find("resources") : entry.end();
  const Json* file = nullptr;
  if (entry.is_object() && files != entry.end() && files->is_array())
    for (const Json& one : *files)
      if (text_member(one, "uri") == uri) file = &one;
  if (file == nullptr) return mismatch(uri, "it is not listed");
  const auto size = file->find("size");
  if (size == file->end() || !size->is_number_integer() ||
      size->get<int64_t>() != static_cast<int64_t>(bytes.size()))
    return mismatch(uri, "its size is " + std::to_string(bytes.size()));
  if (text_member(*file, "digest") != "sha256:" + hex(sha256(bytes)))
    return mismatch(uri, "its digest");
  if (uri == text_member(entry, "uri")) return compare_frontmatter(entry, uri, bytes);
  return {};
}

Result<Json> parse_frontmatter(const std::string& text) {
  std::istringstream in(text);
  std::string line;
  if (!std::getline(in, line) || trimmed(line) != "---")
    return invalid_input("frontmatter: expected a first line \"---\"");
  Json out = Json::object();
  while (std::getline(in, line)) {
    const std::string content = trimmed(line);
    if (content == "---") return out;
    if (content.empty() || content[0] == '#') continue;
    const size_t colon = content.find(':');
    if (line[0] == ' ' || line[0] == '\t' || colon == std::string::npos || colon == 0)
      return invalid_input("frontmatter: only texts are understood");
    const std::string name = content.substr(0, colon);
    if (out.contains(name)) return invalid_input("frontmatter: \"" + name + "\" comes twice");
    SWARM_TRY(out[name], scalar(trimmed(content.substr(colon + 1))));
  }
  return invalid_input("frontmatter: it does not end");
}

}  // namespace swarm::mcp
