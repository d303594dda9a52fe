#include "mcp/auth/loopback.h"

#include <boost/asio/this_coro.hpp>

#include "engine/base/async/channel.h"
#include "engine/base/async/deadline.h"
#include "engine/base/async/nursery.h"
#include "mcp/auth/crypto.h"
#include "mcp/server/http_listener.h"
#include "mcp/transport/url.h"

namespace swarm::mcp {
namespace {

constexpr std::chrono::minutes kPatience{5};
constexpr int kPortMin = 49152, kPortMax = 65535;   // of nobody (RFC 6335)

}  // namespace

std::string loopback_redirect_uri() {
  const std::string random = sha256(random_token(16));
  const int value = static_cast<unsigned char>(random[0]) * 256 +
                    static_cast<unsigned char>(random[1]);
  const int port = kPortMin + value % (kPortMax - kPortMin);
  return "http://127.0.0.1:" + std::to_string(port) + "/" + random_token(12);
}

Async<std::string> visit_with_browser(std::string url, std::string redirect_uri, Log& log) {
  const auto parsed = parse_url(redirect_uri);
  if (!parsed) throw ErrorException(parsed.error());
  const Url here = *parsed;
  ListenerOptions options;
  options.host = here.host;
  options.port = here.port;
  HttpListener listener(options, co_await boost::asio::this_coro::executor, log);
  listener.listen();
  log.warn("mcp.auth.visit", {{"url", url}});
  Channel<std::string> landed{1};
  const HttpListener::Handler handler = [&](ServerRequest& request,
                                            Responder& responder) -> Async<> {
    const std::string path = request.target.substr(0, request.target.find('?'));
    const bool ours = request.method == "GET" && path == here.path;
    const Headers headers{{"Content-Type", "text/plain; charset=utf-8"}};
    const std::string text = ours ? "Thank you. You may close this page.\n" : "Not here.\n";
    co_await responder.respond(ours ? 200 : 404, headers, text);
    if (ours) landed.try_send(here.origin() + request.target);
  };
  std::string out;
  co_await with_nursery([&](Nursery& nursery) -> Async<> {
    nursery.start(listener.run(handler));
    const Deadline deadline = Deadline::after(steady_clock(), kPatience);
    std::optional<std::string> got = co_await with_deadline(landed.receive(), deadline);
    out = got.value_or("");
    nursery.cancel();
  });
  co_return out;
}

}  // namespace swarm::mcp
