#include "mcp/message/header_value.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <set>

#include "mcp/message/ascii.h"

namespace swarm::mcp {
namespace {

constexpr std::string_view kOpen = "=?base64?", kClose = "?=";
constexpr std::string_view kDigits =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
constexpr int kSchemaDepthMax = 64;

// Walks a schema; every annotation must sit on a property that a chain of "properties" reaches.
class Collector {
 public:
  Result<std::vector<HeaderParam>> collect(const Json& schema) {
    visit(schema, {}, true, 0);
    if (!problem_.empty()) return invalid_input(problem_);
    return std::move(found_);
  }

 private:
  void visit(const Json& node, const std::vector<std::string>& path, bool reachable, int depth) {
    if (!problem_.empty() || depth > kSchemaDepthMax) return;
    if (node.is_array())
      for (const Json& item : node) visit(item, path, false, depth + 1);
    if (!node.is_object()) return;
    if (node.contains("x-mcp-header")) note(node, path, reachable);
    for (const auto& [key, value] : node.items()) {
      static const std::set<std::string> kValues{"const", "enum", "default", "examples"};
      if (kValues.contains(key)) continue;
      const bool properties = key == "properties" && value.is_object();
      if (!properties) {
        visit(value, path, false, depth + 1);
        continue;
      }
      for (const auto& [name, property] : value.items()) {
        std::vector<std::string> deeper = path;
        deeper.push_back(name);
        visit(property, deeper, reachable, depth + 1);
      }
    }
  }

  void note(const Json& node, const std::vector<std::string>& path, bool reachable) {
    const Json& name = node.at("x-mcp-header");
    const std::string where = path.empty() ? "the root" : "\"" + path.back() + "\"";
    if (!name.is_string() || !is_token(name.get_ref<const std::string&>()))
      return refuse(where + ": not a header name");
    if (!reachable || path.empty()) return refuse(where + ": not a plain property");
    const auto type = node.find("type");
    const bool simple = type != node.end() &&
                        (*type == "string" || *type == "integer" || *type == "boolean");
    if (!simple) return refuse(where + ": expected type string, integer or boolean");
    const auto text = name.get<std::string>();
    if (!names_.insert(lower(text)).second) return refuse("\"" + text + "\" is used twice");
    found_.push_back({path, "Mcp-Param-" + text});
  }

  void refuse(const std::string& why) { problem_ = "x-mcp-header: " + why; }

  std::vector<HeaderParam> found_;
  std::set<std::string> names_;
  std::string problem_;
};

}  // namespace

std::string base64_encode(std::string_view bytes) {
  std::string out;
  for (size_t i = 0; i < bytes.size(); i += 3) {
    uint32_t group = 0;
    const size_t count = std::min<size_t>(3, bytes.size() - i);
    for (size_t k = 0; k < 3; ++k)
      group = group << 8 | (k < count ? static_cast<unsigned char>(bytes[i + k]) : 0U);
    for (size_t k = 0; k < 4; ++k)
      out += k <= count ? kDigits[group >> (18 - 6 * k) & 63] : '=';
  }
  return out;
}

std::optional<std::string> base64_decode(std::string_view text) {
  if (text.size() % 4 != 0) return std::nullopt;
  std::string out;
  uint32_t group = 0;
  size_t padding = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const size_t digit = kDigits.find(text[i]);
    const bool pad = text[i] == '=' && i + 2 >= text.size();
    if (pad) ++padding;
    if ((digit == std::string_view::npos && !pad) || (padding > 0 && !pad)) return std::nullopt;
    group = group << 6 | static_cast<uint32_t>(pad ? 0 : digit);
    if (i % 4 != 3) continue;
    for (int k = 2; k >= 0; --k) out += static_cast<char>(group >> (8 * k) & 255);
    group = 0;
  }
  out.resize(out.size() - padding);
  return out;
}

std::string encode_header_value(std::string_view text) {
  const bool plain = std::all_of(text.begin(), text.end(), [](char c) {
    return c >= 0x20 && c <= 0x7e;
  });
  const bool edges = !text.empty() && (text.front() == ' ' || text.back() == ' ');
  const bool sentinel = text.size() >= kOpen.size() && text.substr(0, kOpen.size()) == kOpen;
  if (plain && !edges && !sentinel) return std::string(text);
  return std::string(kOpen) + base64_encode(text) + std::string(kClose);
}

std::optional<std::string> decode_header_value(std::string_view text) {
  if (text.size() < kOpen.size() + kClose.size() || text.substr(0, kOpen.size()) != kOpen ||
      text.substr(text.size() - kClose.size()) != kClose)
    return std::string(text);  // both ends make the sentinel
  text.remove_prefix(kOpen.size());
  text.remove_suffix(kClose.size());
  return base64_decode(text);
}

Result<std::vector<HeaderParam>> header_params(const Json& input_schema) {
  return Collector().collect(input_schema);
}

std::optional<std::string> header_argument(const HeaderParam& param, const Json& arguments) {
  const Json* value = &arguments;
  for (const std::string& name : param.path) {
    if (!value->is_object()) return std::nullopt;
    const auto found = value->find(name);
    if (found == value->end()) return std::nullopt;
    value = &*found;
  }
  if (value->is_boolean()) return value->get<bool>() ? "true" : "false";
  if (value->is_number_integer()) return dump_json(*value);
  if (value->is_number_float()) {
    const double number = value->get<double>();
    if (std::floor(number) != number || std::abs(number) > 9e15) return std::nullopt;
    return std::to_string(static_cast<int64_t>(number));
  }
  if (!value->is_string()) return std::nullopt;
  return encode_header_value(value->get_ref<const std::string&>());
}

}  // namespace swarm::mcp
