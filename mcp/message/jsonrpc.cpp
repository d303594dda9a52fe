#include "mcp/message/jsonrpc.h"

#include <charconv>
#include <cmath>

#include "engine/base/utf8.h"

namespace swarm::mcp {
namespace {

constexpr size_t kJsonDepthMax = 128;

Json envelope() {
  Json out = Json::object();
  out["jsonrpc"] = "2.0";
  return out;
}

std::optional<Incoming> decode(Json message) {
  if (!message.is_object()) return std::nullopt;
  const auto take = [&](const char* key) {
    const auto found = message.find(key);
    return found == message.end() ? Json() : std::move(*found);
  };
  Incoming out{};
  const bool has_id = message.contains("id");
  out.id = take("id");
  const bool has_result = message.contains("result");
  const Json error = take("error");
  if (Json method = take("method"); method.is_string()) {
    out.kind = has_id ? Incoming::Kind::request : Incoming::Kind::notification;
    out.method = method.get<std::string>();
    out.payload = take("params");
  } else if (error.is_object()) {
    out.kind = Incoming::Kind::error;
    out.payload = error;
  } else if (has_result) {
    out.kind = Incoming::Kind::result;
    out.payload = take("result");
  } else {
    return std::nullopt;
  }
  return out;
}

}  // namespace

std::string encode_request(int64_t id, std::string_view method, const Json& params) {
  Json out = envelope();
  out["id"] = id;
  out["method"] = method;
  if (!params.is_null()) out["params"] = params;
  return dump_json(out);
}

std::string encode_notification(std::string_view method, const Json& params) {
  Json out = envelope();
  out["method"] = method;
  if (!params.is_null()) out["params"] = params;
  return dump_json(out);
}

std::string encode_result(const Json& id, const Json& result) {
  Json out = envelope();
  out["id"] = id;
  out["result"] = result;
  return dump_json(out);
}

std::string encode_error(const Json& id, int code, std::string_view message, const Json& data) {
  Json error = Json::object();
  error["code"] = code;
  error["message"] = message;
  if (!data.is_null()) error["data"] = data;
  Json out = envelope();
  out["id"] = id;
  out["error"] = std::move(error);
  return dump_json(out);
}

std::vector<Incoming> decode_line(std::string_view line, size_t bytes_max) {
  const JsonLimits limits{.bytes_max = bytes_max, .depth_max = kJsonDepthMax};
  auto parsed = parse_json(line, {}, limits);
  if (!parsed && !utf8_is_valid(line)) parsed = parse_json(utf8_sanitize(line), {}, limits);
  std::vector<Incoming> out;
  if (!parsed) return out;
  if (parsed->is_array()) {  // batches existed in 2025-03-26
    for (Json& one : *parsed)
      if (auto message = decode(std::move(one))) out.push_back(std::move(*message));
  } else if (auto message = decode(std::move(*parsed))) {
    out.push_back(std::move(*message));
  }
  return out;
}

std::optional<int64_t> id_number(const Json& id) {
  if (id.is_number_integer()) return id.get<int64_t>();
  if (id.is_number_float()) {
    const double number = id.get<double>();
    if (std::abs(number) < 1e15 && std::floor(number) == number)
      return static_cast<int64_t>(number);
  }
  if (id.is_string()) {
    const auto& text = id.get_ref<const std::string&>();
    int64_t number = 0;
    const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (code == std::errc() && end == text.data() + text.size()) return number;
  }
  return std::nullopt;
}

std::string error_text(const Json& error) {
  std::string text = "unknown error";
  if (const auto message = error.find("message"); message != error.end() && message->is_string())
    text = message->get<std::string>();
  if (const auto code = error.find("code"); code != error.end() && code->is_number())
    text += " (code " + dump_json(*code) + ")";
  return text;
}

}  // namespace swarm::mcp
