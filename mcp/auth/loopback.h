// mcp/auth/loopback.h — Grant `code` at a terminal (RFC 8252): the address to visit is logged, and
// one visit of the browser to our redirect URI on this machine is awaited.
#pragma once

#include <string>

#include "engine/base/async/task.h"
#include "engine/base/log.h"

namespace swarm::mcp {

// http://127.0.0.1:PORT/PATH with a random port and path: nobody listens there before
// visit_with_browser() does.
std::string loopback_redirect_uri();

// Where the browser was sent in the end. Throws ErrorException: environment (port taken), timeout
// after five minutes. log outlives the call.
Async<std::string> visit_with_browser(std::string url, std::string redirect_uri, Log& log);

}  // namespace swarm::mcp
