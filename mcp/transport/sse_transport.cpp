#include "mcp/transport/sse_transport.h"

#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "mcp/message/rpc_error.h"
#include "mcp/message/sse.h"

namespace swarm::mcp {
namespace {

constexpr size_t kOutgoingMax = 256;
constexpr size_t kErrorBodyMax = 64 * 1024;
constexpr int kChallengesMax = 6;

[[noreturn]] void throw_status(int status) {
  const std::string text = "HTTP " + std::to_string(status);
  RpcError details{.code = 0, .http_status = status, .text = text, .data = {}};
  throw RpcException(environment_error(text), std::move(details));
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
    nursery.start(post_loop());
    co_await closing_.receive();
    nursery.cancel();
  });
}

Async<SseTransport::Exchange> SseTransport::exchange(std::string method, Url url,
                                                     std::string body) {
  for (int tries = 0;; ++tries) {
    HttpRequest request;
    request.method = method;
    request.url = url;
    request.headers = options_.headers;
    request.headers.emplace_back("Accept",
                                 method == "GET" ? "text/event-stream" : "application/json");
    if (method == "POST") request.headers.emplace_back("Content-Type", "application/json");
    if (authorizer_ != nullptr) {
      const Headers granted = co_await authorizer_->headers(method);
      for (const Header& header : granted) request.headers.push_back(header);
    }
    request.body = body;
    const Headers sent = request.headers;
    Exchange answer = co_await client_.begin(std::move(request));
    const int status = answer->head().status;
    const bool refused = status == 401 || status == 403;
    if (authorizer_ != nullptr && !refused) authorizer_->accepted();
    if (!refused || authorizer_ == nullptr || tries >= kChallengesMax) co_return answer;
    HttpResponse refusal = answer->head();
    refusal.body = co_await answer->read_all(kErrorBodyMax);
    const bool again = co_await authorizer_->challenged(refusal, sent);
    if (!again) throw_status(status);
  }
}

Async<> SseTransport::listen() {
  std::string reason = "its event stream ended";
  try {
    const Exchange answer = co_await exchange("GET", options_.url, "");
    if (answer->head().status != 200) throw_status(answer->head().status);
    if (answer->head().content_type() != "text/event-stream")
      throw ErrorException(environment_error("expected an event stream"));
    SseParser parser(options_.message_bytes_max);
    size_t dropped = 0;
    while (true) {
      const std::optional<std::string> piece = co_await answer->read();
      if (!piece) break;
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
  const Exchange answer = co_await exchange("POST", *endpoint_, std::move(message.text));
  const int status = answer->head().status;
  if (status < 200 || status > 299) throw_status(status);
  co_await answer->read_all(options_.message_bytes_max);
}

bool SseTransport::post(Outgoing message) { return outgoing_.try_send(std::move(message)); }

Async<> SseTransport::post_loop() {
  while (true) {
    std::optional<Outgoing> message = co_await outgoing_.receive();
    if (!message) co_return;
    try {
      co_await send(std::move(*message));
    } catch (const ErrorException& e) {
      if (e.error().kind == ErrorKind::cancelled) throw;
      log_.warn("mcp.post.failed", {{"server", options_.server}, {"why", e.error().message}});
    }
  }
}

Async<> SseTransport::close() {
  if (gone_.empty()) gone_ = "its session was stopped";
  ready_.close();
  outgoing_.close();
  closing_.close();
  co_await ended_.receive();
}

}  // namespace swarm::mcp
