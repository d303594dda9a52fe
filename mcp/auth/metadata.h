// mcp/auth/metadata.h — Finding out who authorizes: protected-resource metadata (RFC 9728) and
// authorization-server metadata (RFC 8414, OpenID discovery). Documents come from strangers: https
// only (loopback excepted), bounded in size and time, issuers compared byte for byte.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/base/async/task.h"
#include "engine/base/json.h"
#include "mcp/transport/http_client.h"

namespace swarm::mcp {

struct ResourceMetadata {
  std::string resource;            // exactly as published; "" = the server publishes none
  std::vector<std::string> servers;
  std::string scopes;              // scopes_supported as words
};

struct ServerMetadata {
  std::string issuer;
  std::string authorization_endpoint, token_endpoint, registration_endpoint;
  std::vector<std::string> token_auth_methods;
  std::string scopes;              // scopes_supported as words
  bool s256 = false;
  bool iss_parameter = false;      // authorization_response_iss_parameter_supported
  bool client_id_documents = false;
  bool dpop = false;               // ES256
  bool guessed = false;            // no document was found: the endpoints of 2025-03-26
};

class Discovery {
 public:
  // server: the URL of the MCP server. client outlives us.
  Discovery(Url server, HttpClient& client) : server_(std::move(server)), client_(client) {}

  // hinted: the URL of the challenge, may be "". Throws when the document is not about our server.
  Async<ResourceMetadata> resource(std::string hinted);
  // Throws ErrorException{environment} when nothing acceptable is found.
  Async<ServerMetadata> server(std::string issuer);
  // Servers of 2025-03-26: everything at their own origin, documented there or not.
  Async<ServerMetadata> server_at_origin();

  // https, loopback, or the server's own origin.
  bool may_visit(const Url& url) const;

 private:
  Async<std::optional<Json>> document(std::string url);

  const Url server_;
  HttpClient& client_;
};

std::string joined_words(const Json& list);

// Throws ErrorException{environment}: "authorization: " and the text.
[[noreturn]] void fail_auth(const std::string& text);

}  // namespace swarm::mcp
