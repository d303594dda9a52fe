// mcp/server/http_listener.h — HTTP/1.1 for a server: accepts, reads requests under limits, writes
// answers and event streams. Plain TCP: what leaves this machine belongs behind a TLS proxy. One
// strand; connections are children of run().
#pragma once

#include <boost/asio/ip/tcp.hpp>
#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "engine/base/async/nursery.h"
#include "engine/base/async/task.h"
#include "engine/base/log.h"
#include "mcp/transport/http_message.h"

namespace swarm::mcp {

struct ServerRequest {
  ServerRequest() = default;       // not an aggregate: GCC 12, see tools/tool.h
  std::string method;
  std::string target;              // path and query
  Headers headers;
  std::string body;
};

// The answering side of one request.
class Responder {
 public:
  virtual ~Responder() = default;
  virtual Async<> respond(int status, Headers headers, std::string body) = 0;
  // An answer without length: head, then pieces, then finish().
  virtual Async<> begin(int status, Headers headers) = 0;
  virtual Async<> write(std::string piece) = 0;
  virtual Async<> finish() = 0;
  // Returns when the client has closed its side or sent something unasked.
  virtual Async<> gone() = 0;
};

struct ListenerOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 0;
  size_t body_bytes_max = size_t{4} << 20;
  int32_t connections_max = 256;
  std::chrono::milliseconds head_timeout{30000};
  std::chrono::milliseconds idle_timeout{60000};
};

class HttpListener {
 public:
  using Handler = std::function<Async<>(ServerRequest& request, Responder& responder)>;

  HttpListener(ListenerOptions options, Executor executor, Log& log);
  // Throws ErrorException{environment}.
  void listen();
  uint16_t port() const;
  Async<> run(Handler handler);

 private:
  Async<> serve(boost::asio::ip::tcp::socket socket, const Handler& handler);

  const ListenerOptions options_;
  const Executor executor_;
  Log& log_;
  boost::asio::ip::tcp::acceptor acceptor_;
  int32_t connections_ = 0;
};

}  // namespace swarm::mcp
