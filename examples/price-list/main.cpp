// price-list: a Model Context Protocol server over stdio with one tool, `price`.
//
//   price-list --catalog FILE      FILE is a JSON object: item -> integer price
//
// One JSON-RPC 2.0 message per line on stdin and stdout; nothing else is ever written to stdout.
// Speaks the handshake generations from 2024-11-05 to 2025-11-25; requests it does not know,
// `server/discover` of later generations among them, are answered with "method not found", which
// is how a newer client learns to fall back. Ends when stdin does.
//
// Exit codes: 0 end of input, 2 wrong command line or catalog.

#include <array>
#include <algorithm>
#include <cstdint>
#include <exception>
#include <fstream>
#include <iostream>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kUsage = "usage: price-list --catalog FILE";
constexpr std::array<std::string_view, 4> kVersions = {"2024-11-05", "2025-03-26", "2025-06-18",
                                                       "2025-11-25"};

// Codes of JSON-RPC 2.0, section 5.1.
enum class ErrorCode : int {
  parse_error = -32700,
  invalid_request = -32600,
  method_not_found = -32601,
  invalid_params = -32602,
};

// A request that is answered with a JSON-RPC error instead of a result.
struct RpcError : std::runtime_error {
  RpcError(ErrorCode error_code, const std::string& message)
      : std::runtime_error(message), code(error_code) {}
  ErrorCode code;
};

Json error_response(const Json& id, ErrorCode code, const std::string& message) {
  return {{"jsonrpc", "2.0"},
          {"id", id},
          {"error", {{"code", static_cast<int>(code)}, {"message", message}}}};
}

// Prices are integers in the smallest unit that the shop uses.
class Catalog {
 public:
  // Throws std::runtime_error with a message for people.
  static Catalog load(const std::string& path) {
    std::ifstream file(path);
    if (!file) throw std::runtime_error(path + ": cannot be read");
    Catalog catalog;
    catalog.prices_ = Json::parse(file, nullptr, false);
    if (!catalog.prices_.is_object()) {
      throw std::runtime_error(path + ": expected a JSON object of item -> integer price");
    }
    for (const auto& [item, price] : catalog.prices_.items()) {
      if (!price.is_number_integer()) {
        throw std::runtime_error(path + ": price of \"" + item + "\": expected an integer, found " +
                                 price.type_name());
      }
    }
    return catalog;
  }

  std::optional<std::int64_t> price(const std::string& item) const {
    const auto found = prices_.find(item);
    if (found == prices_.end()) return std::nullopt;
    return found->get<std::int64_t>();
  }

 private:
  Json prices_;
};

Json initialize(const Json& params) {
  const auto wanted = params.find("protocolVersion");
  std::string version{kVersions.back()};
  if (wanted != params.end() && wanted->is_string()) {
    const auto asked = wanted->get<std::string>();
    if (std::find(kVersions.begin(), kVersions.end(), asked) != kVersions.end()) version = asked;
  }
  return {{"protocolVersion", version},
          {"capabilities", {{"tools", Json::object()}}},
          {"serverInfo", {{"name", "price-list"}, {"version", "1.0.0"}}}};
}

Json list_tools() {
  const Json item = {{"type", "string"}, {"description", "Name of the item, as in the order"}};
  const Json schema = {{"type", "object"},
                       {"properties", {{"item", item}}},
                       {"required", Json::array({"item"})},
                       {"additionalProperties", false}};
  const Json tool = {{"name", "price"},
                     {"description", "Unit price of one item"},
                     {"inputSchema", schema}};
  return {{"tools", Json::array({tool})}};
}

enum class Outcome : std::uint8_t { ok, failed };

// A failed tool is a result that the model can read, not a JSON-RPC error.
Json tool_result(const std::string& text, Outcome outcome) {
  const Json content = {{"type", "text"}, {"text", text}};
  return {{"content", Json::array({content})}, {"isError", outcome == Outcome::failed}};
}

Json call_tool(const Catalog& catalog, const Json& params) {
  const auto name = params.find("name");
  if (name == params.end() || !name->is_string()) {
    throw RpcError(ErrorCode::invalid_params, "tools/call needs the name of a tool");
  }
  if (*name != "price") {
    throw RpcError(ErrorCode::invalid_params, "Unknown tool: " + name->get<std::string>());
  }
  const Json arguments = params.value("arguments", Json::object());
  const auto item = arguments.is_object() ? arguments.find("item") : arguments.end();
  if (item == arguments.end() || !item->is_string()) {
    return tool_result("missing argument: item (a string)", Outcome::failed);
  }
  const auto text = item->get<std::string>();
  const auto price = catalog.price(text);
  if (!price) return tool_result("unknown item: " + text, Outcome::failed);
  return tool_result(text + ": " + std::to_string(*price), Outcome::ok);
}

Json dispatch(const Catalog& catalog, const std::string& method, const Json& params) {
  if (method == "initialize") return initialize(params);
  if (method == "ping") return Json::object();
  if (method == "tools/list") return list_tools();
  if (method == "tools/call") return call_tool(catalog, params);
  throw RpcError(ErrorCode::method_not_found, "Method not found: " + method);
}

// The response to one message; nothing for notifications and for responses of the client.
std::optional<Json> answer(const Catalog& catalog, const Json& message) {
  if (!message.is_object()) {
    return error_response(nullptr, ErrorCode::invalid_request, "expected a JSON object");
  }
  const auto method = message.find("method");
  const auto id = message.find("id");
  const bool is_response = message.contains("result") || message.contains("error");
  if (method == message.end() && is_response) return std::nullopt;
  if (method == message.end() || !method->is_string()) {
    return error_response(id == message.end() ? Json(nullptr) : *id, ErrorCode::invalid_request,
                          "expected a method");
  }
  if (id == message.end()) return std::nullopt;
  try {
    const Json params = message.value("params", Json::object());
    if (!params.is_object()) {
      throw RpcError(ErrorCode::invalid_params, "expected an object of parameters");
    }
    return Json{{"jsonrpc", "2.0"},
                {"id", *id},
                {"result", dispatch(catalog, method->get<std::string>(), params)}};
  } catch (const RpcError& error) {
    return error_response(*id, error.code, error.what());
  }
}

// Batches exist in 2025-03-26 only; answering them in every generation does no harm.
std::optional<Json> answer_line(const Catalog& catalog, const std::string& line) {
  const Json message = Json::parse(line, nullptr, false);
  if (message.is_discarded()) {
    return error_response(nullptr, ErrorCode::parse_error, "Parse error");
  }
  if (!message.is_array() || message.empty()) return answer(catalog, message);
  Json responses = Json::array();
  for (const Json& part : message) {
    if (auto response = answer(catalog, part)) responses.push_back(std::move(*response));
  }
  if (responses.empty()) return std::nullopt;
  return responses;
}

void serve(const Catalog& catalog) {
  // Bytes that are not UTF-8 never reach a response: the parser refuses them.
  for (std::string line; std::getline(std::cin, line);) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    if (const auto response = answer_line(catalog, line)) std::cout << *response << std::endl;
  }
}

}  // namespace

int main(int argc, char** argv) {
  const std::string_view option = argc == 3 ? argv[1] : "";
  if (option != "--catalog") {
    std::cerr << kUsage << '\n';
    return 2;
  }
  try {
    serve(Catalog::load(argv[2]));
  } catch (const std::exception& error) {
    std::cerr << "price-list: error: " << error.what() << '\n';
    return 2;
  }
  return 0;
}
