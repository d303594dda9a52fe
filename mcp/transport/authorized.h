// mcp/transport/authorized.h — What every HTTP transport does with a request: sends it with the
// authorizer's headers, again while the authorizer finds a way; and a queue of messages that nobody
// waits for. One strand.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>

#include "engine/base/async/channel.h"
#include "engine/base/log.h"
#include "mcp/transport/authorizer.h"
#include "mcp/transport/http_client.h"
#include "mcp/transport/transport.h"

namespace swarm::mcp {

inline constexpr int kChallengesMax = 6;           // answers 401 and 403 to one request
inline constexpr size_t kErrorBodyMax = 64 * 1024; // of an answer that is none

// "HTTP 500 Internal Server Error: first line of the body"; pages of HTML are left out.
std::string status_text(const HttpResponse& answer);

// The answer to make()'s request, made anew for each try, method and authorization added; also one
// that is no 2xx. authorizer: may be null. Throws RpcException with the status when the authorizer
// gives up, ErrorException for everything else that went wrong.
Async<std::unique_ptr<HttpClient::Exchange>> authorized_exchange(
    HttpClient& client, Authorizer* authorizer, std::string method,
    std::function<HttpRequest()> make);

// Sends what is queued, one after the other, until the queue is closed. A message that cannot be
// sent is told to the log. Everything outlives the call.
Async<> send_queued(Channel<Outgoing>& queue, std::function<Async<>(Outgoing)> send,
                    const std::string& server, Log& log);

}  // namespace swarm::mcp
