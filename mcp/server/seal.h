// mcp/server/seal.h — The requestState of 2026-07-28: what a client carries for us between rounds,
// with a seal it cannot forge (HMAC-SHA256, key of this process), an end and the call it belongs
// to.
#pragma once

#include <optional>
#include <string>

#include "engine/base/json.h"

namespace swarm::mcp {

class Seal {
 public:
  Seal();
  // about: what the state belongs to (method, name, arguments); it is bound, not revealed.
  std::string close(const Json& state, const std::string& about) const;
  // nullopt: not ours, changed, too old, or about something else.
  std::optional<Json> open(const std::string& sealed, const std::string& about) const;

 private:
  std::string mac(const std::string& text) const;
  std::string key_;
};

}  // namespace swarm::mcp
