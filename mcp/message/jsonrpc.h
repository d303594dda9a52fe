// mcp/message/jsonrpc.h — JSON-RPC 2.0 messages as lines. Pure functions; untrusted input never
// throws.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/json.h"

namespace swarm::mcp {

struct Incoming {
  enum class Kind : uint8_t { request, notification, result, error } kind;
  Json id;                  // request: as sent; result, error: as sent, null if there is none
  std::string method;       // request, notification
  Json payload;             // params, result, or the error object
};

// Each without a line end.
std::string encode_request(int64_t id, std::string_view method, const Json& params);
std::string encode_notification(std::string_view method, const Json& params);
std::string encode_result(const Json& id, const Json& result);
// data: omitted when null.
std::string encode_error(const Json& id, int code, std::string_view message,
                         const Json& data = nullptr);

// The messages of one line: one, several (a batch), or none when it is no JSON-RPC at all.
std::vector<Incoming> decode_line(std::string_view line, size_t bytes_max);

// Our ids are integers; some peers send them back as text or as 3.0.
std::optional<int64_t> id_number(const Json& id);

// "message (code -32602)"
std::string error_text(const Json& error);

}  // namespace swarm::mcp
