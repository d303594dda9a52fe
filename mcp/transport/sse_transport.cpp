#include "mcp/transport/sse_transport.h"

#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "mcp/message/rpc_error.h"
#include "mcp/message/sse.h"
#include "mcp/transport/authorized.h"

namespace swarm::mcp {
namespace {


// An answer that is no 2xx.
Async<> throw_refusal(std::unique_ptr<HttpClient::Exchange> answer) {
  HttpResponse head = answer->head();
  try {
    head.body = co_await answer->read_all(kErrorBodyMax);
  } catch (const ErrorException& e) {
    if (e.error().kind == ErrorKind::cancelled) throw;
  }
  RpcError details{.code = 0, .http_status = head.status, .text = status_text(head), .data = {}};
  throw RpcException(environment_error(status_text(head)), std::move(details));
}

}  // namespace

SseTransport::SseTransport(HttpOptions options, Authorizer* authorizer, Executor executor,
                           Log& log)
    : options_(std::move(options)),
      authorizer_(authorizer),
      log_(log),
      client_(std::move(executor), HttpClient::Options{.wire = options_.wire}),
      outgoing_(kOutgoingMax),
      ready_(0),
      closing_(0),
      ended_(0) {}

void SseTransport::open(Events& events) { events_ = &events; }

Async<> SseTransport::run() {
  struct Ended {
    Channel<bool>& gate;
    ~Ended() { gate.close(); }
  } ended{ended_};
  co_await with_nursery([this](Nursery& nursery) -> Async<> {
    nursery.start(listen());
    const auto send_one = [this](Outgoing message) { return send(std::move(message)); };
    nursery.start(send_queued(outgoing_, send_one, options_.server, log_));
    co_await closing_.receive();
    nursery.cancel();
  });
}

Async<SseTransport::Exchange> SseTransport::exchange(std::string method, Url url,
                                                     std::string body) {
  const std::function<HttpRequest()> make = [&] {
    HttpRequest request;
    request.url = url;
    request.headers = options_.headers;
    request.headers.emplace_back("Accept",
                                 method == "GET" ? "text/event-stream" : "application/json");
    if (method == "POST") request.headers.emplace_back("Content-Type", "application/json");
    request.body = body;
    traffic_.sent += body.size();
    return request;
  };
  co_return co_await authorized_exchange(client_, authorizer_, method, make);
}

Async<> SseTransport::listen() {
  std::string reason = "its event stream ended";
  try {
    Exchange answer = co_await exchange("GET", options_.url, "");
    if (answer->head().status != 200) co_await throw_refusal(std::move(answer));
    if (answer->head().content_type() != "text/event-stream")
      throw ErrorException(environment_error("expected an event stream"));
    SseParser parser(options_.message_bytes_max);
    size_t dropped = 0;
    while (true) {
      const std::optional<std::string> piece = co_await answer->read();
      if (!piece) break;
      traffic_.received += piece->size();
      parser.feed(*piece, [this](const SseEvent& event) { take(event); });
      if (parser.dropped() == dropped) continue;
      dropped = parser.dropped();
      events_->on_unreadable("a message is longer than " +
                             std::to_string(options_.message_bytes_max) + " bytes");
    }
  } catch (const ErrorException& e) {
    if (e.error().kind == ErrorKind::cancelled) throw;
    reason = e.error().message;
  }
  gone(reason);
}

void SseTransport::take(const SseEvent& event) {
  if (event.type == "endpoint") {
    const auto url = resolve_url(options_.url, event.data);
    // Anywhere else would get our credentials and our messages.
    if (!url || url->origin() != options_.url.origin())
      return gone("its endpoint \"" + event.data + "\" is not of its own origin");
    endpoint_ = *url;
    ready_.close();
  } else if (event.type == "message") {
    for (Incoming& message : decode_line(event.data, options_.message_bytes_max))
      events_->on_message(std::move(message));
  }
}

void SseTransport::gone(const std::string& reason) {
  if (gone_.empty()) gone_ = reason;
  ready_.close();
  outgoing_.close();
  events_->on_gone(reason);
}

Async<Transport::Delivered> SseTransport::request(Outgoing message) {
  co_await send(std::move(message));
  co_return Delivered::later;
}

Async<> SseTransport::send(Outgoing message) {
  co_await ready_.receive();
  if (!endpoint_ || !gone_.empty())
    throw ErrorException(environment_error(gone_.empty() ? "it named no endpoint" : gone_));
  Exchange answer = co_await exchange("POST", *endpoint_, std::move(message.text));
  const int status = answer->head().status;
  if (status < 200 || status > 299) co_await throw_refusal(std::move(answer));
  co_await answer->read_all(options_.message_bytes_max);
}

bool SseTransport::post(Outgoing message) { return outgoing_.try_send(std::move(message)); }

Async<> SseTransport::close() {
  if (gone_.empty()) gone_ = "its session was stopped";
  ready_.close();
  outgoing_.close();
  closing_.close();
  co_await ended_.receive();
}

}  // namespace swarm::mcp
