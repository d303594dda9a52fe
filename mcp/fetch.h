// mcp/fetch.h — PUBLIC. Pages of the web through the HTTP client of the MCP transports, so that
// there is one: TLS, redirects, and no address of a private network unless allowed.
#pragma once

#include "tools/http_fetch.h"

namespace swarm::mcp {

// private_addresses: loopback, private and link-local networks may be reached, too. At most five
// redirects, never from https down to http. Every address is checked after it was resolved, for
// every hop; the connection goes to the address that was checked.
tools::HttpGet make_http_get(bool private_addresses);

}  // namespace swarm::mcp
