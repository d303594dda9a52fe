// mcp/message/rpc_error.h — A request that failed with a code: JSON-RPC, HTTP, or both. Thrown
// where an ErrorException is expected; whoever decides on eras, sessions or retries looks at the
// codes.
#pragma once

#include <string>
#include <utility>

#include "engine/base/error.h"
#include "engine/base/json.h"

namespace swarm::mcp {

inline constexpr int kInvalidParams = -32602;
inline constexpr int kMethodNotFound = -32601;
inline constexpr int kInternalError = -32603;
inline constexpr int kHeaderMismatch = -32020;
inline constexpr int kMissingCapability = -32021;
inline constexpr int kUnsupportedVersion = -32022;
inline constexpr int kUrlElicitationRequired = -32042;

struct RpcError {
  int code = 0;          // JSON-RPC; 0 = none was sent
  int http_status = 0;   // 0 = not over HTTP, or 2xx
  std::string text;      // the peer's words
  Json data;             // error.data
  bool session_lost = false;  // the server does not know our session id any more
};

class RpcException : public ErrorException {
 public:
  RpcException(Error error, RpcError details)
      : ErrorException(std::move(error)), details_(std::move(details)) {}
  const RpcError& details() const noexcept { return details_; }

 private:
  RpcError details_;
};

[[noreturn]] inline void refuse(int code, const std::string& text, Json data = nullptr,
                                int http_status = 0) {
  RpcError details;
  details.code = code;
  details.text = text;
  details.data = std::move(data);
  details.http_status = http_status;
  throw RpcException(failed(text), std::move(details));
}

// Only a server of the 2026-07-28 generation sends these.
inline bool is_modern_code(int code) {
  return code == kHeaderMismatch || code == kMissingCapability || code == kUnsupportedVersion;
}

}  // namespace swarm::mcp
