#include "mcp/client/redactor.h"

#include <algorithm>
#include <array>
#include <cctype>

namespace swarm::mcp {
namespace {

constexpr size_t kSecretBytesMin = 4;      // shorter values would hide half of the text
constexpr std::string_view kHidden = "[redacted]";
// requestState belongs to one call and must not be kept.
constexpr std::array<std::string_view, 9> kNames{
    "password", "passwd", "secret",     "token",       "authorization",
    "apikey",   "api_key", "privatekey", "requeststate"};

bool is_secret_name(const std::string& name) {
  std::string low = name;
  std::transform(low.begin(), low.end(), low.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return std::any_of(kNames.begin(), kNames.end(), [&](std::string_view word) {
    return low.find(word) != std::string::npos;
  });
}

}  // namespace

Redactor::Redactor(const ServerConfig& server) {
  for (const auto& [name, value] : server.env) secrets_.push_back(value);
  for (const auto& [name, value] : server.headers) secrets_.push_back(value);
  if (server.auth)
    for (const std::string* value :
         {&server.auth->client_secret, &server.auth->private_key_pem, &server.auth->assertion,
          &server.auth->idp_id_token})
      secrets_.push_back(*value);
  std::erase_if(secrets_, [](const std::string& s) { return s.size() < kSecretBytesMin; });
  std::sort(secrets_.begin(), secrets_.end(), [](const std::string& a, const std::string& b) {
    return a.size() != b.size() ? a.size() > b.size() : a < b;
  });
}

std::string Redactor::text(std::string text) const {
  for (const std::string& secret : secrets_)
    for (size_t at = 0; (at = text.find(secret, at)) != std::string::npos; at += kHidden.size())
      text.replace(at, secret.size(), kHidden);
  return text;
}

Json Redactor::json(const Json& value) const {
  if (value.is_string()) return text(value.get<std::string>());
  if (value.is_array()) {
    Json out = Json::array();
    for (const Json& item : value) out.push_back(json(item));
    return out;
  }
  if (!value.is_object()) return value;
  Json out = Json::object();
  for (const auto& [name, member] : value.items())
    out[name] = member.is_string() && is_secret_name(name) ? Json(kHidden) : json(member);
  return out;
}

std::string without_secrets(std::string text, const ServerConfig& server) {
  return Redactor(server).text(std::move(text));
}

}  // namespace swarm::mcp
