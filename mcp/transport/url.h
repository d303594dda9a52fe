// mcp/transport/url.h — http and https URLs, taken apart without changing a byte of them: what is
// compared or sent on is the text as it was written. Pure; untrusted input never throws.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/error.h"

namespace swarm::mcp {

struct Url {
  std::string scheme;      // "http" or "https", lower case
  std::string host;        // without brackets, lower case
  uint16_t port = 0;
  bool explicit_port = false;
  std::string path;        // from '/' on, at least "/"; without query
  std::string query;       // with '?', or ""
  bool has_path = false;   // false when the text ended with the authority

  bool tls() const { return scheme == "https"; }
  std::string target() const { return path + query; }
  // "https://host" or "https://host:8443": default ports are left out.
  std::string origin() const;
  // The value of the Host header.
  std::string authority() const;
  // Without query.
  std::string text() const { return origin() + path; }
};

// Fragments are cut off; user information, control characters and spaces are refused.
Result<Url> parse_url(std::string_view text);

// reference against base: absolute, "//host/..", "/path" or a relative path (RFC 3986 5.2, without
// dot segments inside a query).
Result<Url> resolve_url(const Url& base, std::string_view reference);

// localhost, 127.0.0.0/8, ::1.
bool is_loopback_name(std::string_view host);

std::string percent_encode(std::string_view text);   // all but RFC 3986 unreserved
std::string percent_decode(std::string_view text);   // '+' stays; malformed escapes stay

using Parameters = std::vector<std::pair<std::string, std::string>>;
// application/x-www-form-urlencoded, every reserved byte escaped.
std::string form_encode(const Parameters& parameters);
Parameters query_parameters(std::string_view query);  // with or without '?'
const std::string* find_parameter(const Parameters& parameters, std::string_view name);

}  // namespace swarm::mcp
