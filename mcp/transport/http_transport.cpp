#include "mcp/transport/http_transport.h"

#include <algorithm>

#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "mcp/message/ascii.h"
#include "mcp/message/rpc_error.h"
#include "mcp/transport/authorized.h"

namespace swarm::mcp {
namespace {

using std::chrono::milliseconds;

constexpr int kResumesMax = 10;           // in a row without a single event
constexpr milliseconds kBackoffMin{1000}, kBackoffMax{30000};
constexpr milliseconds kStreamTail{20};   // for the end of a stream after its answer

milliseconds longer(milliseconds backoff) { return std::min(backoff * 3 / 2, kBackoffMax); }

bool mentions_session(const std::string& text) {
  return lower(text).find("session") != std::string::npos;
}

bool is_session_id(std::string_view text) {
  return !text.empty() && text.size() <= 1024 &&
         std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x21 && c <= 0x7e; });
}

bool answers(const Incoming& message, int64_t id) {
  const bool reply = message.kind == Incoming::Kind::result ||
                     message.kind == Incoming::Kind::error;
  return reply && (id_number(message.id) == id || message.id.is_null());
}

Async<> wait_for(milliseconds duration) {
  co_await wait_until(steady_clock(), steady_clock().now() + duration);
}

}  // namespace

struct HttpTransport::Stream {
  Stream(size_t bytes_max, int64_t request_id) : parser(bytes_max), id(request_id) {}
  SseParser parser;
  int64_t id;                      // 0: no request, the GET stream
  bool answered = false;
  bool heard = false;              // an event since the last connection
};

HttpTransport::HttpTransport(HttpOptions options, Authorizer* authorizer, Executor executor,
                             Log& log)
    : options_(std::move(options)),
      authorizer_(authorizer),
      executor_(std::move(executor)),
      log_(log),
      client_(executor_, HttpClient::Options{.wire = options_.wire}),
      outgoing_(kOutgoingMax),
      listen_(1),
      closing_(0),
      ended_(0) {}

HttpTransport::~HttpTransport() = default;

void HttpTransport::open(Events& events) { events_ = &events; }

void HttpTransport::use(Dialect dialect, const std::string& version) {
  dialect_ = dialect;
  version_ = version;
  if (dialect == Dialect::legacy) listen_.try_send(true);
}

void HttpTransport::forget_session() {
  session_.clear();
  version_.clear();
}

Async<> HttpTransport::run() {
  struct Ended {
    Channel<bool>& gate;
    ~Ended() { gate.close(); }
  } ended{ended_};
  co_await with_nursery([this](Nursery& nursery) -> Async<> {
    const auto send_one = [this](Outgoing message) { return send(std::move(message)); };
    nursery.start(send_queued(outgoing_, send_one, options_.server, log_));
    nursery.start(listen_loop());
    co_await closing_.receive();
    // What is queued still goes out; the GET stream has no end of its own.
    const Deadline deadline = Deadline::after(steady_clock(), options_.stop_grace);
    while (outgoing_.size() > 0 && !deadline.passed(steady_clock().now())) co_await yield_once();
    nursery.cancel();
  });
}

// ---- Requests.

Headers HttpTransport::headers_for(const std::string& method, const Headers& extra) const {
  Headers out{{"Accept", method == "GET" ? "text/event-stream"
                                         : "application/json, text/event-stream"},
              {"User-Agent", "swarm"}};
  if (method == "POST") out.emplace_back("Content-Type", "application/json");
  for (const Header& header : options_.headers) out.push_back(header);
  if (dialect_ != Dialect::modern && !session_.empty())
    out.emplace_back("Mcp-Session-Id", session_);
  const bool told = find_header(extra, "MCP-Protocol-Version") != nullptr;
  if (!told && dialect_ == Dialect::legacy && version_ >= "2025-06-18")
    out.emplace_back("MCP-Protocol-Version", version_);
  for (const Header& header : extra) out.push_back(header);
  return out;
}

Async<HttpTransport::Exchange> HttpTransport::exchange(std::string method, std::string body,
                                                       Headers headers, bool safe) {
  const std::function<HttpRequest()> make = [&] {
    HttpRequest request;
    request.url = options_.url;
    request.headers = headers_for(method, headers);
    request.body = body;
    request.safe = safe;
    traffic_.sent += body.size();
    return request;
  };
  co_return co_await authorized_exchange(client_, authorizer_, method, make);
}

// Turns an answer that is no 2xx into an exception.
Async<> HttpTransport::refuse(Exchange answer, bool had_session) {
  HttpResponse head = answer->head();
  std::string problem;
  try {
    head.body = co_await answer->read_all(kErrorBodyMax);
    traffic_.received += head.body.size();
  } catch (const ErrorException& e) {
    if (e.error().kind == ErrorKind::cancelled) throw;
  }
  RpcError details{.code = 0, .http_status = head.status, .text = status_text(head), .data = {}};
  for (const Incoming& message : decode_line(head.body, kErrorBodyMax)) {
    if (message.kind != Incoming::Kind::error) continue;
    const auto code = message.payload.find("code");
    if (code != message.payload.end() && code->is_number_integer())
      details.code = code->get<int>();
    const auto data = message.payload.find("data");
    if (data != message.payload.end()) details.data = *data;
    details.text = error_text(message.payload);
  }
  details.session_lost = had_session && dialect_ != Dialect::modern &&
                         (head.status == 404 ||
                          (head.status == 400 && mentions_session(details.text)));
  throw RpcException(environment_error(details.text), details);
}

Async<Transport::Delivered> HttpTransport::request(Outgoing message) {
  const bool had_session = !session_.empty();
  Exchange answer =
      co_await exchange("POST", std::move(message.text), message.headers, message.safe);
  const HttpResponse& head = answer->head();
  if (head.status < 200 || head.status > 299) co_await refuse(std::move(answer), had_session);
  if (message.method == "initialize") {
    const std::string* id = find_header(head.headers, "Mcp-Session-Id");
    if (id != nullptr && is_session_id(*id)) session_ = *id;
  }
  const std::string type = head.content_type();
  if (type == "text/event-stream") {
    Stream stream(options_.message_bytes_max, message.id);
    co_await read_stream(std::move(answer), stream);
    if (!stream.answered && dialect_ != Dialect::modern) co_await resume(stream);
    if (!stream.answered)
      throw ErrorException(environment_error("the stream ended before the answer"));
  } else if (type == "application/json") {
    co_await read_json(std::move(answer), message.id);
  } else {
    const int status = head.status;
    throw ErrorException(environment_error(
        "expected application/json or text/event-stream, found HTTP " + std::to_string(status) +
        (type.empty() ? " without a content type" : " with " + type)));
  }
  co_return Delivered::complete;
}

Async<> HttpTransport::read_json(Exchange answer, int64_t id) {
  const std::string body = co_await answer->read_all(options_.message_bytes_max);
  traffic_.received += body.size();
  std::vector<Incoming> messages = decode_line(body, options_.message_bytes_max);
  bool any = false;
  for (Incoming& message : messages) {
    const bool reply = answers(message, id);
    if (reply) message.id = id;  // an error without id belongs to the request it answers
    any = any || reply;
    events_->on_message(std::move(message));
  }
  if (!any) throw ErrorException(environment_error("the answer is not a JSON-RPC reply"));
}

void HttpTransport::take(std::string_view text, Stream& stream) {
  stream.heard = true;
  if (text.empty()) return;  // a priming event
  std::vector<Incoming> messages = decode_line(text, options_.message_bytes_max);
  if (messages.empty())
    log_.debug("mcp.event.skipped",
               {{"server", options_.server}, {"bytes", uint64_t{text.size()}}});
  for (Incoming& message : messages) {
    if (stream.id != 0 && answers(message, stream.id)) {
      stream.answered = true;
      message.id = stream.id;
    }
    events_->on_message(std::move(message));
  }
}

// Reads until the answer or the end of the stream. A stream that breaks just ends.
Async<> HttpTransport::read_stream(Exchange answer, Stream& stream) {
  const size_t dropped = stream.parser.dropped();
  try {
    while (!stream.answered) {
      const std::optional<std::string> piece = co_await answer->read();
      if (!piece) co_return;
      traffic_.received += piece->size();
      stream.parser.feed(*piece, [&](const SseEvent& event) {
        if (event.type == "message") take(event.data, stream);
      });
      if (stream.parser.dropped() != dropped)
        throw ErrorException(environment_error("a message is longer than " +
                                               std::to_string(options_.message_bytes_max) +
                                               " bytes"));
    }
    // A stream that ends now leaves its connection to others.
    const Deadline deadline = Deadline::after(steady_clock(), kStreamTail);
    co_await with_deadline(answer->read_all(kErrorBodyMax), deadline);
  } catch (const ErrorException& e) {
    if (e.error().kind == ErrorKind::cancelled) throw;
    if (stream.parser.dropped() != dropped) throw;
    log_.debug("mcp.stream.broke", {{"server", options_.server}, {"why", e.error().message}});
  }
}

// Legacy: continues a stream by GET with the id of its last event until the answer is in.
Async<> HttpTransport::resume(Stream& stream) {
  int fruitless = 0;
  milliseconds backoff = kBackoffMin;
  while (!stream.answered && stream.parser.last_id() && fruitless < kResumesMax) {
    co_await wait_for(stream.parser.retry().value_or(backoff));
    backoff = longer(backoff);
    Headers headers{{"Last-Event-ID", *stream.parser.last_id()}};
    stream.heard = false;
    stream.parser.reconnected();
    bool reached = true;
    Exchange answer;
    try {
      answer = co_await exchange("GET", "", headers, true);
    } catch (const ErrorException& e) {
      if (e.error().kind == ErrorKind::cancelled) throw;
      reached = false;
    }
    if (reached && answer->head().status != 200) co_await refuse(std::move(answer), true);
    if (reached) co_await read_stream(std::move(answer), stream);
    fruitless = stream.heard ? 0 : fruitless + 1;
    if (stream.heard) backoff = kBackoffMin;
  }
}

Async<> HttpTransport::send(Outgoing message) {
  const bool had_session = !session_.empty();
  Exchange answer = co_await exchange("POST", std::move(message.text), message.headers, true);
  const int status = answer->head().status;
  if (status < 200 || status > 299) co_await refuse(std::move(answer), had_session);
  co_await answer->read_all(kErrorBodyMax);
}

bool HttpTransport::post(Outgoing message) { return outgoing_.try_send(std::move(message)); }

// ---- Loops.

// The stream of what the server says unasked, once per session.
Async<> HttpTransport::listen_loop() {
  while (true) {
    const std::optional<bool> wanted = co_await listen_.receive();
    if (!wanted) co_return;
    try {
      co_await listen();
    } catch (const ErrorException& e) {
      if (e.error().kind == ErrorKind::cancelled) throw;
      log_.debug("mcp.listen.failed", {{"server", options_.server}, {"why", e.error().message}});
    }
  }
}

// A server that offers no such stream is fine.
Async<> HttpTransport::listen() {
  Stream stream(options_.message_bytes_max, 0);
  milliseconds backoff = kBackoffMin;
  for (int fruitless = 0; fruitless < kResumesMax; ++fruitless) {
    stream.heard = false;
    Headers headers;
    if (stream.parser.last_id()) headers.emplace_back("Last-Event-ID", *stream.parser.last_id());
    Exchange answer = co_await exchange("GET", "", headers, true);
    const HttpResponse& head = answer->head();
    if (head.status != 200 || head.content_type() != "text/event-stream") co_return;
    co_await read_stream(std::move(answer), stream);
    if (stream.heard) {
      fruitless = 0;
      backoff = kBackoffMin;
    }
    stream.parser.reconnected();
    co_await wait_for(stream.parser.retry().value_or(backoff));
    backoff = longer(backoff);
  }
}

// ---- The end.

Async<> HttpTransport::close() {
  closing_.close();
  listen_.close();
  outgoing_.close();
  co_await ended_.receive();
  if (dialect_ == Dialect::modern || session_.empty()) co_return;
  const Deadline deadline = Deadline::after(steady_clock(), options_.stop_grace);
  try {
    co_await with_deadline(delete_session(), deadline);
  } catch (const ErrorException& e) {
    log_.debug("mcp.delete.failed", {{"server", options_.server}, {"why", e.error().message}});
  }
}

Async<> HttpTransport::delete_session() {
  Exchange answer = co_await exchange("DELETE", "", {}, true);
  co_await answer->read_all(kErrorBodyMax);
}

}  // namespace swarm::mcp
