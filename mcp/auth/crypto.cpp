#include "mcp/auth/crypto.h"

#include <openssl/bn.h>
#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rand.h>

#include "engine/base/check.h"
#include "mcp/message/header_value.h"

namespace swarm::mcp {
namespace {

constexpr int kP256Bytes = 32;

template <auto Destroy>
struct Closes {
  template <class Handle>
  void operator()(Handle* handle) const noexcept {
    Destroy(handle);
  }
};
using Digest = std::unique_ptr<EVP_MD_CTX, Closes<&EVP_MD_CTX_free>>;
using Bio = std::unique_ptr<BIO, Closes<&BIO_free_all>>;
using Number = std::unique_ptr<BIGNUM, Closes<&BN_free>>;
using Signature = std::unique_ptr<ECDSA_SIG, Closes<&ECDSA_SIG_free>>;

unsigned char* bytes_of(std::string& text) {
  return reinterpret_cast<unsigned char*>(text.data());
}
const unsigned char* bytes_of(std::string_view text) {
  return reinterpret_cast<const unsigned char*>(text.data());
}

// DER to the fixed 64 bytes of JOSE: r and s, 32 bytes each.
Result<std::string> jose_signature(std::string_view der) {
  const unsigned char* at = bytes_of(der);
  const Signature parsed(d2i_ECDSA_SIG(nullptr, &at, static_cast<long>(der.size())));
  if (!parsed) return failed("the signature cannot be read");
  std::string out(2 * kP256Bytes, '\0');
  const int r = BN_bn2binpad(ECDSA_SIG_get0_r(parsed.get()), bytes_of(out), kP256Bytes);
  const int s = BN_bn2binpad(ECDSA_SIG_get0_s(parsed.get()), bytes_of(out) + kP256Bytes,
                             kP256Bytes);
  if (r != kP256Bytes || s != kP256Bytes) return failed("the signature is not of P-256");
  return out;
}

std::string coordinate(const EVP_PKEY* key, const char* name) {
  BIGNUM* raw = nullptr;
  SWARM_CHECK(EVP_PKEY_get_bn_param(key, name, &raw) == 1);
  const Number number(raw);
  std::string out(kP256Bytes, '\0');
  SWARM_CHECK(BN_bn2binpad(number.get(), bytes_of(out), kP256Bytes) == kP256Bytes);
  return base64url_encode(out);
}

}  // namespace

std::string sha256(std::string_view bytes) {
  std::string out(32, '\0');
  unsigned int size = 0;
  SWARM_CHECK(EVP_Digest(bytes.data(), bytes.size(), bytes_of(out), &size, EVP_sha256(),
                         nullptr) == 1);
  SWARM_CHECK(size == 32);
  return out;
}

std::string base64url_encode(std::string_view bytes) {
  std::string out = base64_encode(bytes);
  while (!out.empty() && out.back() == '=') out.pop_back();
  for (char& c : out) c = c == '+' ? '-' : c == '/' ? '_' : c;
  return out;
}

std::string random_token(size_t bytes) {
  std::string out(bytes, '\0');
  SWARM_CHECK(RAND_bytes(bytes_of(out), static_cast<int>(bytes)) == 1);
  return base64url_encode(out);
}

void SigningKey::Free::operator()(evp_pkey_st* key) const noexcept { EVP_PKEY_free(key); }

SigningKey::SigningKey(std::unique_ptr<evp_pkey_st, Free> key, std::string algorithm)
    : key_(std::move(key)), algorithm_(std::move(algorithm)) {}
SigningKey::SigningKey(SigningKey&&) noexcept = default;
SigningKey& SigningKey::operator=(SigningKey&&) noexcept = default;
SigningKey::~SigningKey() = default;

Result<SigningKey> SigningKey::generate() {
  std::unique_ptr<evp_pkey_st, Free> key(EVP_EC_gen("P-256"));
  if (!key) return failed("a P-256 key could not be made");
  return SigningKey(std::move(key), "ES256");
}

Result<SigningKey> SigningKey::from_pem(const std::string& pem, const std::string& algorithm) {
  const Bio source(BIO_new_mem_buf(pem.data(), static_cast<int>(pem.size())));
  std::unique_ptr<evp_pkey_st, Free> key(
      PEM_read_bio_PrivateKey(source.get(), nullptr, nullptr, nullptr));
  if (!key) return invalid_input("private key: expected PKCS#8 PEM");
  const bool ec = EVP_PKEY_is_a(key.get(), "EC") == 1;
  const bool rsa = EVP_PKEY_is_a(key.get(), "RSA") == 1;
  if ((algorithm == "ES256" && ec && EVP_PKEY_get_bits(key.get()) == 256) ||
      (algorithm == "RS256" && rsa))
    return SigningKey(std::move(key), algorithm);
  return invalid_input("private key: it does not fit the algorithm \"" + algorithm +
                       "\" (ES256 and RS256 are known)");
}

Json SigningKey::public_jwk() const {
  SWARM_CHECK(algorithm_ == "ES256");
  Json out = Json::object();
  out["kty"] = "EC";
  out["crv"] = "P-256";
  out["x"] = coordinate(key_.get(), OSSL_PKEY_PARAM_EC_PUB_X);
  out["y"] = coordinate(key_.get(), OSSL_PKEY_PARAM_EC_PUB_Y);
  return out;
}

Result<std::string> SigningKey::sign_jwt(Json header, const Json& claims) const {
  header["alg"] = algorithm_;
  const std::string signed_part =
      base64url_encode(dump_json(header)) + "." + base64url_encode(dump_json(claims));
  const Digest digest(EVP_MD_CTX_new());
  size_t size = 0;
  const bool begun =
      EVP_DigestSignInit(digest.get(), nullptr, EVP_sha256(), nullptr, key_.get()) == 1 &&
      EVP_DigestSign(digest.get(), nullptr, &size, bytes_of(std::string_view(signed_part)),
                     signed_part.size()) == 1;
  if (!begun) return failed("the key cannot sign");
  std::string raw(size, '\0');
  if (EVP_DigestSign(digest.get(), bytes_of(raw), &size,
                     bytes_of(std::string_view(signed_part)), signed_part.size()) != 1)
    return failed("the key cannot sign");
  raw.resize(size);
  if (algorithm_ == "ES256") {
    SWARM_TRY(raw, jose_signature(raw));
  }
  return signed_part + "." + base64url_encode(raw);
}

}  // namespace swarm::mcp
