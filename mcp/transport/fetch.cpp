#include "mcp/fetch.h"

#include <boost/asio/this_coro.hpp>
#include <utility>

#include "mcp/transport/http_client.h"

namespace swarm::mcp {
namespace {

constexpr int kRedirectsMax = 5;

Async<tools::HttpPage> get(std::string text, size_t bytes_max, bool private_addresses) {
  HttpClient::Options options;
  options.wire.reach = private_addresses ? Reach::anywhere : Reach::public_only;
  HttpClient client(co_await boost::asio::this_coro::executor, options);
  HttpRequest request;
  request.url = parse_url(text).value();
  request.headers = {{"Accept", "text/html, text/plain, application/json, */*;q=0.5"},
                     {"User-Agent", "swarm"}};
  tools::HttpPage page;
  for (int hops = 0;; ++hops) {
    const std::unique_ptr<HttpClient::Exchange> exchange = co_await client.begin(request);
    const HttpResponse& head = exchange->head();
    const std::string* location = find_header(head.headers, "Location");
    if (head.is_redirect() && location != nullptr) {
      if (hops >= kRedirectsMax)
        throw ErrorException(environment_error("more than " + std::to_string(kRedirectsMax) +
                                               " redirects"));
      Url next = resolve_url(request.url, *location).value();
      if (request.url.tls() && !next.tls())
        throw ErrorException(environment_error("a redirect from https down to " + next.text()));
      request.url = std::move(next);
      continue;
    }
    page.status = head.status;
    page.url = request.url.origin() + request.url.target();
    page.content_type = head.content_type();
    while (!page.cut) {
      const std::optional<std::string> piece = co_await exchange->read();
      if (!piece) break;
      page.body += *piece;
      page.cut = page.body.size() > bytes_max;
    }
    if (page.cut) page.body.resize(bytes_max);
    co_return page;
  }
}

}  // namespace

tools::HttpGet make_http_get(bool private_addresses) {
  return [private_addresses](std::string url, size_t bytes_max) {
    return get(std::move(url), bytes_max, private_addresses);
  };
}

}  // namespace swarm::mcp
