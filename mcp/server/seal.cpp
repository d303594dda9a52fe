#include "mcp/server/seal.h"

#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <chrono>

#include "engine/base/async/deadline.h"
#include "engine/base/check.h"
#include "mcp/auth/crypto.h"
#include "mcp/message/header_value.h"

namespace swarm::mcp {
namespace {

constexpr int64_t kSealSeconds = 3600;
constexpr size_t kSealedMax = 256 * 1024;

}  // namespace

Seal::Seal() : key_(random_token(32)) {}

std::string Seal::mac(const std::string& text) const {
  std::string out(32, '\0');
  unsigned int size = 0;
  SWARM_CHECK(HMAC(EVP_sha256(), key_.data(), static_cast<int>(key_.size()),
                   reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                   reinterpret_cast<unsigned char*>(out.data()), &size) != nullptr);
  return out;
}

std::string Seal::close(const Json& state, const std::string& about) const {
  Json body = Json::object();
  body["state"] = state;
  body["about"] = base64url_encode(sha256(about));
  body["until"] = unix_seconds(steady_clock()) + kSealSeconds;
  const std::string text = base64_encode(dump_json(body));
  return text + "." + base64url_encode(mac(text));
}

std::optional<Json> Seal::open(const std::string& sealed, const std::string& about) const {
  const size_t dot = sealed.rfind('.');
  if (dot == std::string::npos || sealed.size() > kSealedMax) return std::nullopt;
  // Over the text as it travels: base64 can write the same bytes in more than one way.
  const std::string want = base64url_encode(mac(sealed.substr(0, dot)));
  const std::string got = sealed.substr(dot + 1);
  if (want.size() != got.size() || CRYPTO_memcmp(want.data(), got.data(), want.size()) != 0)
    return std::nullopt;
  const auto text = base64_decode(std::string_view(sealed).substr(0, dot));
  const auto body = text ? parse_json(*text) : Result<Json>(failed("no base64"));
  if (!body || body->at("about") != base64url_encode(sha256(about)) ||
      body->at("until").get<int64_t>() < unix_seconds(steady_clock()))
    return std::nullopt;
  return body->at("state");
}

}  // namespace swarm::mcp
