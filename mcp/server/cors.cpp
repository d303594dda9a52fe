#include "mcp/server/cors.h"

namespace swarm::mcp {

void CorsResponder::allow(Headers& headers) const {
  headers.emplace_back("Access-Control-Allow-Origin", origin_);
  headers.emplace_back("Access-Control-Expose-Headers", "Mcp-Session-Id, WWW-Authenticate");
  headers.emplace_back("Vary", "Origin");
}

Async<> CorsResponder::respond(int status, Headers headers, std::string body) {
  allow(headers);
  co_await inner_.respond(status, std::move(headers), std::move(body));
}

Async<> CorsResponder::begin(int status, Headers headers) {
  allow(headers);
  co_await inner_.begin(status, std::move(headers));
}

bool is_preflight(const ServerRequest& request) {
  return request.method == "OPTIONS" && find_header(request.headers, "Origin") != nullptr &&
         find_header(request.headers, "Access-Control-Request-Method") != nullptr;
}

Headers preflight_headers(const ServerRequest& request) {
  Headers out{{"Access-Control-Allow-Methods", "POST, GET, DELETE"},
              {"Access-Control-Max-Age", "600"}};
  if (const auto* asked = find_header(request.headers, "Access-Control-Request-Headers"))
    out.emplace_back("Access-Control-Allow-Headers", *asked);
  return out;
}

}  // namespace swarm::mcp
