// mcp/auth/crypto.h — What OAuth needs of cryptography, on OpenSSL: SHA-256, random bytes, JSON Web
// Tokens signed with ES256 or RS256. Errors are values; a machine without randomness is a bug.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include "engine/base/error.h"
#include "engine/base/json.h"

struct evp_pkey_st;

namespace swarm::mcp {

std::string sha256(std::string_view bytes);          // 32 raw bytes
std::string base64url_encode(std::string_view bytes);  // without padding
std::string random_token(size_t bytes);              // base64url of so many random bytes

class SigningKey {
 public:
  // A P-256 key of our own making.
  static Result<SigningKey> generate();
  // PKCS#8 PEM; algorithm "ES256" or "RS256".
  static Result<SigningKey> from_pem(const std::string& pem, const std::string& algorithm);
  SigningKey(SigningKey&&) noexcept;
  SigningKey& operator=(SigningKey&&) noexcept;
  ~SigningKey();

  // The public half as a JSON Web Key; ES256 only.
  Json public_jwk() const;
  // header gets "alg"; compact serialisation.
  Result<std::string> sign_jwt(Json header, const Json& claims) const;

 private:
  struct Free {
    void operator()(evp_pkey_st* key) const noexcept;
  };
  SigningKey(std::unique_ptr<evp_pkey_st, Free> key, std::string algorithm);

  std::unique_ptr<evp_pkey_st, Free> key_;
  std::string algorithm_;
};

}  // namespace swarm::mcp
