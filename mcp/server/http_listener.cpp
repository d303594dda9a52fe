#include "mcp/server/http_listener.h"

#include <boost/asio/redirect_error.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/http/status.hpp>
#include <charconv>

#include "engine/base/async/deadline.h"
#include "mcp/transport/http_parser.h"

namespace swarm::mcp {
namespace net = boost::asio;
namespace http = boost::beast::http;
using boost::system::error_code;
using net::ip::tcp;

namespace {

constexpr size_t kRequestReadBytes = 16 * 1024;
constexpr std::chrono::seconds kWriteMax{30};   // a client that reads nothing is not waited for

std::string_view reason_of(int status) {
  const auto text = http::obsolete_reason(static_cast<http::status>(status));
  return {text.data(), text.size()};
}

std::string head_text(int status, const Headers& headers) {
  std::string out = "HTTP/1.1 " + std::to_string(status) + " " + std::string(reason_of(status));
  for (const auto& [name, value] : headers) out += "\r\n" + name + ": " + value;
  return out + "\r\n";
}

class Connection final : public Responder {
 public:
  Connection(tcp::socket socket, const ListenerOptions& options)
      : socket_(std::move(socket)), options_(options) {}

  enum class Read : uint8_t { request, end, bad, too_large };

  // The next request; whatever came after it stays in buffer_.
  Async<Read> read(ServerRequest& out) {
    HttpParser<true> parser;
    parser.body_limit(options_.body_bytes_max);
    while (true) {
      const error_code code = parser.consume(buffer_);
      if (code == http::error::body_limit) co_return Read::too_large;
      if (code) co_return Read::bad;
      if (parser.is_done()) break;
      const bool more = co_await read_some();
      if (!more) co_return parser.got_some() ? Read::bad : Read::end;
    }
    keep_alive_ = parser.keep_alive();
    out.method = std::move(parser.method);
    out.target = std::move(parser.target);
    out.headers = std::move(parser.headers);
    out.body = std::move(parser.body);
    head_only_ = out.method == "HEAD";
    co_return Read::request;
  }

  Async<> respond(int status, Headers headers, std::string body) override {
    if (status != 204) headers.emplace_back("Content-Length", std::to_string(body.size()));
    if (!keep_alive_) headers.emplace_back("Connection", "close");
    std::string text = head_text(status, headers) + "\r\n";
    if (!head_only_) text += body;
    co_await send(std::move(text));
    answered_ = true;
  }
  Async<> begin(int status, Headers headers) override {
    headers.emplace_back("Transfer-Encoding", "chunked");
    co_await send(head_text(status, headers) + "\r\n");
    answered_ = true;
    keep_alive_ = false;           // until finish(): a broken stream must not look whole
  }
  Async<> write(std::string piece) override {
    if (piece.empty()) co_return;
    char size[20];
    const auto end = std::to_chars(size, size + sizeof size, piece.size(), 16).ptr;
    co_await send(std::string(size, end) + "\r\n" + piece + "\r\n");
  }
  Async<> finish() override {
    co_await send("0\r\n\r\n");
    keep_alive_ = true;
  }
  Async<> gone() override {
    while (true) {
      const bool more = co_await read_some();
      if (!more || buffer_.size() > kRequestReadBytes) co_return;
    }
  }

  bool keep_alive() const { return keep_alive_ && answered_; }
  void begin_next() { answered_ = false; }

 private:
  Async<bool> read_some() {
    std::string piece(kRequestReadBytes, '\0');
    error_code code;
    const size_t got = co_await socket_.async_read_some(
        net::buffer(piece), net::redirect_error(net::use_awaitable, code));
    if (code == net::error::operation_aborted) throw boost::system::system_error(code);
    if (code || got == 0) co_return false;
    buffer_.append(piece, 0, got);
    co_return true;
  }
  Async<> send(std::string text) {
    const Deadline deadline = Deadline::after(steady_clock(), kWriteMax);
    co_await with_deadline(send_all(std::move(text)), deadline);
  }
  Async<> send_all(std::string text) {
    error_code code;
    co_await net::async_write(socket_, net::buffer(text),
                              net::redirect_error(net::use_awaitable, code));
    if (code == net::error::operation_aborted) throw boost::system::system_error(code);
    if (code) throw ErrorException(environment_error("the client is gone: " + code.message()));
  }

  tcp::socket socket_;
  const ListenerOptions& options_;
  std::string buffer_;
  bool keep_alive_ = false, head_only_ = false, answered_ = false;
};

}  // namespace

HttpListener::HttpListener(ListenerOptions options, Executor executor, Log& log)
    : options_(std::move(options)), executor_(executor), log_(log), acceptor_(executor) {}

void HttpListener::listen() {
  error_code code;
  const auto address = net::ip::make_address(
      options_.host == "localhost" ? "127.0.0.1" : options_.host, code);
  if (code)
    throw ErrorException(invalid_input("host: expected an address, found \"" + options_.host +
                                       "\""));
  const tcp::endpoint endpoint(address, options_.port);
  acceptor_.open(endpoint.protocol(), code);
  if (!code) acceptor_.set_option(tcp::acceptor::reuse_address(true), code);
  if (!code) acceptor_.bind(endpoint, code);
  if (!code) acceptor_.listen(net::socket_base::max_listen_connections, code);
  if (code)
    throw ErrorException(environment_error("cannot listen on " + options_.host + " port " +
                                           std::to_string(options_.port) + ": " +
                                           code.message()));
}

uint16_t HttpListener::port() const { return acceptor_.local_endpoint().port(); }

Async<> HttpListener::run(Handler handler) {
  co_await with_nursery([&](Nursery& nursery) -> Async<> {
    while (true) {
      error_code code;
      tcp::socket socket =
          co_await acceptor_.async_accept(net::redirect_error(net::use_awaitable, code));
      if (code == net::error::operation_aborted) throw boost::system::system_error(code);
      if (code) {  // no descriptors left: a pause, not the end
        log_.warn("mcp.http.accept", {{"why", code.message()}});
        co_await wait_until(steady_clock(),
                            steady_clock().now() + std::chrono::milliseconds(50));
        continue;
      }
      if (connections_ >= options_.connections_max) continue;  // closed at once
      ++connections_;
      const auto shared = std::make_shared<tcp::socket>(std::move(socket));  // with the child
      nursery.start([this, shared, &handler]() -> Async<> {
        struct Count {
          int32_t& value;
          ~Count() { --value; }
        } count{connections_};
        co_await serve(std::move(*shared), handler);
      });
    }
  });
}

Async<> HttpListener::serve(tcp::socket socket, const Handler& handler) {
  error_code ignored;
  socket.set_option(tcp::no_delay(true), ignored);
  Connection connection(std::move(socket), options_);
  try {
    for (bool first = true;; first = false) {
      ServerRequest request;
      const auto limit = first ? options_.head_timeout : options_.idle_timeout;
      const Deadline deadline = Deadline::after(steady_clock(), limit);
      const auto read = co_await with_deadline(connection.read(request), deadline);
      if (read == Connection::Read::end) co_return;
      connection.begin_next();
      if (read != Connection::Read::request) {
        const int status = read == Connection::Read::too_large ? 413 : 400;
        co_await connection.respond(status, {}, "");
        co_return;
      }
      co_await handler(request, connection);
      if (!connection.keep_alive()) co_return;
    }
  } catch (const ErrorException& e) {
    if (e.error().kind == ErrorKind::cancelled) throw;
    log_.debug("mcp.http.connection", {{"why", e.error().message}});
  }
}

}  // namespace swarm::mcp
