// mcp/client/asks.h — What a server asks of us: roots, sampling, elicitation; by request (legacy)
// or inside a result (2026-07-28). Offers exactly what the hooks can answer. One strand.
#pragma once

#include <string>

#include "engine/base/async/task.h"
#include "engine/base/json.h"
#include "mcp/mcp.h"

namespace swarm::mcp {

class Asks {
 public:
  Asks(std::string server, const ClientHooks& hooks) : server_(std::move(server)), hooks_(hooks) {}

  // The capabilities object of initialize and of _meta.
  Json capabilities(bool modern) const;
  bool any() const { return hooks_.sample || hooks_.elicit || hooks_.offer_roots; }

  // Throws RpcException{method not found, invalid params}, ErrorException{budget} when the server
  // has asked too often; whatever a hook throws, invalid_input as invalid params.
  Async<Json> answer(std::string method, Json params);

 private:
  Async<Json> elicit(Json params);

  const std::string server_;
  const ClientHooks& hooks_;       // outlives us
  int32_t asked_ = 0;
};

// Adds the defaults of a flat form schema to what `content` leaves out.
void add_defaults(const Json& requested_schema, Json& content);

}  // namespace swarm::mcp
