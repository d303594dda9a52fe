// mcp/server/cors.h — What a browser wants to hear before a page of another origin may read our
// answers (WHATWG Fetch, section 3.2). Only for requests whose origin was found to be allowed.
#pragma once

#include <string>

#include "mcp/server/http_listener.h"

namespace swarm::mcp {

// Passes everything on, with the headers that let `origin` read it. Lives as long as its request.
class CorsResponder final : public Responder {
 public:
  CorsResponder(Responder& inner, std::string origin)
      : inner_(inner), origin_(std::move(origin)) {}

  Async<> respond(int status, Headers headers, std::string body) override;
  Async<> begin(int status, Headers headers) override;
  Async<> write(std::string piece) override { return inner_.write(std::move(piece)); }
  Async<> finish() override { return inner_.finish(); }
  Async<> gone() override { return inner_.gone(); }

 private:
  void allow(Headers& headers) const;

  Responder& inner_;
  const std::string origin_;
};

bool is_preflight(const ServerRequest& request);
// The answer to one: the methods of the endpoint, and the headers that were asked for.
Headers preflight_headers(const ServerRequest& request);

}  // namespace swarm::mcp
