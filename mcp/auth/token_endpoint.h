// mcp/auth/token_endpoint.h — Requests to a token endpoint: client authentication by every method
// we know, DPoP proofs with the nonces servers ask for. One strand.
#pragma once

#include <optional>
#include <string>

#include "engine/base/async/task.h"
#include "engine/base/json.h"
#include "mcp/auth/crypto.h"
#include "mcp/auth/metadata.h"
#include "mcp/transport/http_client.h"

namespace swarm::mcp {

constexpr size_t kTokenAnswerMax = size_t{1} << 20;   // bytes of an authorization server's answer

struct ClientIdentity {
  std::string id, secret;
  std::string auth_method;         // "" = by what the server supports
};

// "client_secret_basic", "client_secret_post", "none" or "private_key_jwt".
std::string auth_method_of(const ClientIdentity& client, const ServerMetadata& server);

// Proofs of possession (RFC 9449), one key for all.
class Dpop {
 public:
  explicit Dpop(SigningKey key) : key_(std::move(key)) {}
  // url: without query and fragment. access_token: bound by "ath"; "" = none.
  std::string proof(const std::string& method, const Url& url, const std::string& nonce,
                    const std::string& access_token) const;

 private:
  SigningKey key_;
};

class TokenEndpoint {
 public:
  explicit TokenEndpoint(HttpClient& client) : client_(client) {}

  struct Call {
    Call() = default;              // not an aggregate: GCC 12, see tools/tool.h
    Url url;
    Parameters form;
    ClientIdentity client;
    std::string auth_method;
    std::string assertion;         // private_key_jwt
    const Dpop* dpop = nullptr;
  };
  // The token response. Throws ErrorException{environment} with the server's error and words.
  Async<Json> request(Call call);

 private:
  Async<HttpResponse> post(Call call);

  HttpClient& client_;
  std::string nonce_;
};

}  // namespace swarm::mcp
