// mcp/transport/http_message.h — HTTP/1.1 messages as values, and the reader of one response. Pure.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "mcp/transport/url.h"

namespace swarm::mcp {

constexpr uint32_t kHeadBytesMax = 64 * 1024;   // of a request or a response
constexpr size_t kHeadersMax = 200;

using Header = std::pair<std::string, std::string>;
using Headers = std::vector<Header>;

// The first of that name, case-insensitively; nullptr when there is none.
const std::string* find_header(const Headers& headers, std::string_view name);
std::vector<std::string> all_headers(const Headers& headers, std::string_view name);
bool same_text(std::string_view a, std::string_view b);  // ASCII case is ignored

struct HttpRequest {
  HttpRequest() = default;         // not an aggregate: GCC 12, see tools/tool.h
  std::string method = "GET";
  Url url;
  Headers headers;
  std::string body;
  // May be sent a second time when a kept connection turns out to be closed.
  bool safe = false;
};

struct HttpResponse {
  HttpResponse() = default;
  int status = 0;
  std::string reason;
  Headers headers;
  std::string body;

  // "application/json": lower case, without parameters; "" when there is none.
  std::string content_type() const;
  bool is_redirect() const;        // to what the header Location names
};

// The bytes of a request. Refuses names and values that would break out of their line.
Result<std::string> write_request(const HttpRequest& request);

template <bool kRequest>
class HttpParser;

// One response, read piece by piece; interim ones (1xx) before it are passed over. Untrusted bytes
// never throw.
class ResponseReader {
 public:
  // head_request: the response has no body whatever its headers say.
  explicit ResponseReader(bool head_request = false);
  ~ResponseReader();

  // Body bytes that became available are in take_body(). Feeding stops at the end of the message.
  Result<void> feed(std::string_view bytes);
  // The peer closed the connection: fine if the message has no declared length.
  Result<void> end_of_stream();

  bool head_complete() const;
  bool complete() const;
  bool keep_alive() const;              // complete() must hold
  const HttpResponse& head() const;     // once head_complete(); body stays empty
  std::string take_body();

 private:
  void begin();

  const bool head_request_;
  std::unique_ptr<HttpParser<false>> parser_;
  std::string rest_;                    // bytes the parser wants to see again
  HttpResponse head_;
  int interim_ = 0;
};

}  // namespace swarm::mcp
