// mcp/transport/http_transport.h — Streamable HTTP, every revision: one endpoint, each request a
// POST whose answer is JSON or an event stream. Legacy: session id, GET stream, resumption with
// Last-Event-ID, DELETE at the end. Modern: none of these; the transport is told by use().
#pragma once

#include <chrono>
#include <memory>
#include <optional>
#include <string>

#include "engine/base/async/channel.h"
#include "engine/base/log.h"
#include "mcp/message/sse.h"
#include "mcp/transport/authorizer.h"
#include "mcp/transport/http_client.h"
#include "mcp/transport/transport.h"

namespace swarm::mcp {

struct HttpOptions {
  std::string server;              // for the log
  Url url;
  Headers headers;                 // configured; may hold credentials, never logged
  std::chrono::milliseconds stop_grace{2000};
  size_t message_bytes_max = size_t{16} << 20;
  WireOptions wire;
};

class HttpTransport final : public Transport {
 public:
  // authorizer: may be null; else outlives us.
  HttpTransport(HttpOptions options, Authorizer* authorizer, Executor executor, Log& log);
  ~HttpTransport() override;

  void open(Events& events) override;
  Async<> run() override;
  Async<Delivered> request(Outgoing message) override;
  Async<> send(Outgoing message) override;
  bool post(Outgoing message) override;
  Async<> close() override;

  void use(Dialect dialect, const std::string& version) override;
  bool closing_cancels() const override { return dialect_ == Dialect::modern; }
  bool is_http() const override { return true; }
  void forget_session() override;

 private:
  using Exchange = std::unique_ptr<HttpClient::Exchange>;
  struct Stream;                   // where one event stream stands

  Async<Exchange> exchange(std::string method, std::string body, Headers headers, bool safe);
  Headers headers_for(const std::string& method, const Headers& extra) const;
  Async<> refuse(Exchange answer, bool had_session);
  Async<> read_json(Exchange answer, int64_t id);
  Async<> read_stream(Exchange answer, Stream& stream);
  Async<> resume(Stream& stream);
  Async<> listen_loop();
  Async<> listen();
  Async<> delete_session();
  void take(std::string_view text, Stream& stream);

  const HttpOptions options_;
  Authorizer* const authorizer_;
  const Executor executor_;
  Log& log_;
  Events* events_ = nullptr;       // set by open(), outlives us
  HttpClient client_;
  Channel<Outgoing> outgoing_;
  Channel<bool> listen_;           // a legacy session has begun that may be listened to
  Channel<bool> closing_;          // closed by close()
  Channel<bool> ended_;            // closed when run() has ended
  Dialect dialect_ = Dialect::undecided;
  std::string version_;
  std::string session_;
};

}  // namespace swarm::mcp
