// mcp/client/redactor.h — Takes secrets out of what is written down about a session: the values a
// configuration gives to one server, and members of objects that are named like secrets. Pure.
#pragma once

#include <string>
#include <vector>

#include "engine/base/json.h"
#include "mcp/mcp.h"

namespace swarm::mcp {

class Redactor {
 public:
  explicit Redactor(const ServerConfig& server);

  std::string text(std::string text) const;
  Json json(const Json& value) const;

 private:
  std::vector<std::string> secrets_;       // longest first: one may begin with another
};

}  // namespace swarm::mcp
