#include "mcp/transport/http_client.h"

#include <algorithm>

#include "engine/base/async/nursery.h"

namespace swarm::mcp {
namespace {

constexpr size_t kResponseReadBytes = 16 * 1024;

[[noreturn]] void fail(const std::string& origin, const std::string& text) {
  throw ErrorException(environment_error(origin + ": " + text));
}

}  // namespace

HttpClient::HttpClient(Executor executor, Options options)
    : executor_(std::move(executor)),
      options_(std::move(options)),
      wires_(options_.wire),
      permits_(options_.connections_max) {
  for (size_t i = 0; i < options_.connections_max; ++i) permits_.try_send(true);
}

HttpClient::~HttpClient() = default;

HttpClient::Exchange::~Exchange() {
  if (permit_) client_.permits_.try_send(true);
}

std::unique_ptr<Wire> HttpClient::take_idle(const std::string& origin) {
  for (size_t i = idle_.size(); i-- > 0;) {
    if (idle_[i].origin != origin) continue;
    std::unique_ptr<Wire> wire = std::move(idle_[i].wire);
    idle_.erase(idle_.begin() + static_cast<std::ptrdiff_t>(i));
    if (!wire->is_stale()) return wire;
  }
  return nullptr;
}

Async<std::unique_ptr<HttpClient::Exchange>> HttpClient::begin(HttpRequest request) {
  auto text = write_request(request);
  if (!text) throw ErrorException(text.error());
  auto exchange = std::make_unique<Exchange>(*this);
  exchange->origin_ = request.url.origin();
  co_await permits_.receive();
  exchange->permit_ = true;
  exchange->wire_ = take_idle(exchange->origin_);
  const bool reused = exchange->wire_ != nullptr;
  if (reused) {
    const bool answered = co_await attempt(*exchange, request, *text);
    if (answered) co_return exchange;
    if (!request.safe) fail(exchange->origin_, "the connection was closed before the answer");
  }
  exchange->wire_ = co_await wires_.connect(request.url, executor_);
  const bool answered = co_await attempt(*exchange, request, *text);
  if (!answered) fail(exchange->origin_, "the connection was closed without an answer");
  co_return exchange;
}

// False when the connection ended before the first byte of an answer.
Async<bool> HttpClient::attempt(Exchange& exchange, const HttpRequest& request,
                                const std::string& bytes) {
  exchange.reader_ = std::make_unique<ResponseReader>(request.method == "HEAD");
  exchange.any_byte_ = false;
  bool sent = true;
  try {
    co_await exchange.wire_->write(bytes);
  } catch (const ErrorException& e) {
    if (e.error().kind == ErrorKind::cancelled) throw;
    sent = false;  // an answer (413, 401) may have been sent all the same
  }
  while (!exchange.reader_->head_complete()) {
    bool more = false;
    try {
      more = co_await exchange.read_more();
    } catch (const ErrorException& e) {
      if (e.error().kind == ErrorKind::cancelled || exchange.any_byte_ || sent) throw;
    }
    if (!more) co_return false;
  }
  co_return true;
}

Async<bool> HttpClient::Exchange::read_more() {
  std::string buffer(kResponseReadBytes, '\0');
  size_t got = 0;
  std::string problem;
  try {
    got = co_await wire_->read_some(buffer.data(), buffer.size());
  } catch (const ErrorException& e) {
    if (e.error().kind == ErrorKind::cancelled) throw;
    problem = e.error().message;
  }
  if (!problem.empty() && any_byte_) fail(origin_, problem);
  if (got == 0 && !any_byte_) co_return false;
  any_byte_ = true;
  const auto fed = got > 0 ? reader_->feed(std::string_view(buffer).substr(0, got))
                           : reader_->end_of_stream();
  if (!fed) fail(origin_, fed.error().message);
  co_return true;
}

// The answer is whole: the connection may serve again, the turn passes to the next.
void HttpClient::Exchange::done() {
  if (wire_ && reader_->keep_alive() && client_.idle_.size() < client_.options_.idle_max)
    client_.idle_.push_back({origin_, std::move(wire_)});
  wire_.reset();
  if (std::exchange(permit_, false)) client_.permits_.try_send(true);
}

Async<std::optional<std::string>> HttpClient::Exchange::read() {
  while (true) {
    std::string piece = reader_->take_body();
    if (!piece.empty()) co_return piece;
    if (reader_->complete()) {
      done();
      co_return std::nullopt;
    }
    co_await read_more();
  }
}

Async<std::string> HttpClient::Exchange::read_all(size_t bytes_max) {
  std::string out;
  while (true) {
    const std::optional<std::string> piece = co_await read();
    if (!piece) co_return out;
    if (out.size() + piece->size() > bytes_max)
      fail(origin_, "the answer is longer than " + std::to_string(bytes_max) + " bytes");
    out += *piece;
  }
}

Async<HttpResponse> HttpClient::fetch(HttpRequest request, size_t bytes_max) {
  for (int hops = 0;; ++hops) {
    const std::unique_ptr<Exchange> exchange = co_await begin(request);
    HttpResponse out = exchange->head();
    out.body = co_await exchange->read_all(bytes_max);
    const std::string* location = find_header(out.headers, "Location");
    if (request.method != "GET" || !out.is_redirect() || location == nullptr ||
        hops >= options_.redirects_max)
      co_return out;
    const auto next = resolve_url(request.url, *location);
    if (!next) co_return out;
    if (next->origin() != request.url.origin())
      std::erase_if(request.headers, [](const Header& header) {
        return same_text(header.first, "Authorization") || same_text(header.first, "Cookie");
      });
    if (request.url.tls() && !next->tls()) co_return out;  // no way down to plain text
    request.url = *next;
  }
}

}  // namespace swarm::mcp
