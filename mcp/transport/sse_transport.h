// mcp/transport/sse_transport.h — HTTP+SSE of 2024-11-05: one GET stream for everything the server
// says, whose first event names the URL to POST to. No session ids, no resumption.
#pragma once

#include <chrono>
#include <optional>
#include <string>

#include "engine/base/async/channel.h"
#include "engine/base/log.h"
#include "mcp/transport/http_transport.h"
#include "mcp/transport/transport.h"

namespace swarm::mcp {

class SseTransport final : public Transport {
 public:
  SseTransport(HttpOptions options, Authorizer* authorizer, Executor executor, Log& log);

  void open(Events& events) override;
  Async<> run() override;
  Async<Delivered> request(Outgoing message) override;
  Async<> send(Outgoing message) override;
  bool post(Outgoing message) override;
  Async<> close() override;
  bool is_http() const override { return true; }

 private:
  using Exchange = std::unique_ptr<HttpClient::Exchange>;

  Async<Exchange> exchange(std::string method, Url url, std::string body);
  Async<> listen();
  void take(const SseEvent& event);
  void gone(const std::string& reason);

  const HttpOptions options_;
  Authorizer* const authorizer_;
  Log& log_;
  Events* events_ = nullptr;       // set by open(), outlives us
  HttpClient client_;
  Channel<Outgoing> outgoing_;
  Channel<bool> ready_;            // closed when the endpoint is known or never will be
  Channel<bool> closing_;
  Channel<bool> ended_;
  std::optional<Url> endpoint_;
  std::string gone_;
};

}  // namespace swarm::mcp
