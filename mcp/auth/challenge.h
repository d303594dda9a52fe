// mcp/auth/challenge.h — WWW-Authenticate (RFC 9110 11.6.1): several challenges, quoted and bare
// values. Pure; untrusted input never throws.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "mcp/transport/http_message.h"

namespace swarm::mcp {

struct Challenge {
  std::string scheme;              // lower case
  std::vector<std::pair<std::string, std::string>> parameters;  // names in lower case
  const std::string* find(std::string_view name) const;
};

std::vector<Challenge> parse_challenges(std::string_view header);

// What a 401 or 403 says about OAuth.
struct BearerChallenge {
  std::string resource_metadata;   // URL, "" when not said
  std::string scope;
  std::string error;
};
BearerChallenge bearer_challenge(const Headers& headers);

// Scopes are sets, written as words.
std::string united_scopes(const std::string& a, const std::string& b);
bool has_scope(const std::string& scopes, std::string_view one);

}  // namespace swarm::mcp
