#include "mcp/transport/authorized.h"

#include <optional>

#include "engine/base/utf8.h"
#include "mcp/message/rpc_error.h"

namespace swarm::mcp {
namespace {

constexpr size_t kErrorTextMax = 300;

}  // namespace

std::string status_text(const HttpResponse& answer) {
  std::string out = "HTTP " + std::to_string(answer.status);
  if (!answer.reason.empty()) out += " " + answer.reason;
  std::string line = utf8_sanitize(answer.body.substr(0, kErrorTextMax));
  line = line.substr(0, line.find_first_of("\r\n"));
  const bool readable = !line.empty() && line[0] != '<';
  return readable ? out + ": " + line : out;
}

Async<std::unique_ptr<HttpClient::Exchange>> authorized_exchange(
    HttpClient& client, Authorizer* authorizer, std::string method,
    std::function<HttpRequest()> make) {
  for (int tries = 0;; ++tries) {
    Headers granted;
    if (authorizer != nullptr) granted = co_await authorizer->headers(method);
    HttpRequest request = make();  // after that wait: sessions come and go
    request.method = method;
    for (const Header& header : granted) request.headers.push_back(header);
    const Headers sent = request.headers;
    std::unique_ptr<HttpClient::Exchange> answer = co_await client.begin(std::move(request));
    const int status = answer->head().status;
    const bool refused = status == 401 || status == 403;
    if (authorizer != nullptr && !refused) authorizer->accepted();
    if (!refused || authorizer == nullptr || tries >= kChallengesMax) co_return answer;
    HttpResponse refusal = answer->head();
    refusal.body = co_await answer->read_all(kErrorBodyMax);
    const bool again = co_await authorizer->challenged(refusal, sent);
    if (again) continue;
    RpcError details{.code = 0, .http_status = status, .text = status_text(refusal), .data = {}};
    throw RpcException(environment_error(status_text(refusal)), std::move(details));
  }
}

Async<> send_queued(Channel<Outgoing>& queue, std::function<Async<>(Outgoing)> send,
                    const std::string& server, Log& log) {
  while (true) {
    std::optional<Outgoing> message = co_await queue.receive();
    if (!message) co_return;
    try {
      co_await send(std::move(*message));
    } catch (const ErrorException& e) {
      if (e.error().kind == ErrorKind::cancelled) throw;
      log.warn("mcp.post.failed", {{"server", server}, {"why", e.error().message}});
    }
  }
}

}  // namespace swarm::mcp
