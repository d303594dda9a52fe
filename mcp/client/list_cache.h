// mcp/client/list_cache.h — What a lazy server offered when it last ran, kept between runs so that
// prompts can be made without starting it. One private file per server and configuration
// (ServerConfig::list_cache is the folder); what is in it is as untrusted as the server itself.
// Blocking, small files.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/json.h"
#include "mcp/mcp.h"

namespace swarm::mcp {

struct Offer {
  ServerInfo info;                         // its version belongs to the list
  Json capabilities = Json::object();
  std::vector<Json> tools;                 // verbatim, as listed
};

// Of everything that decides what the server is and is asked for. Values of headers are left out:
// they are credentials that change without the server changing.
std::string config_hash(const ServerConfig& server);

// nullopt: never kept, kept for another configuration, or unreadable.
std::optional<Offer> load_offer(const ServerConfig& server);
Result<void> save_offer(const ServerConfig& server, const Offer& offer);

}  // namespace swarm::mcp
