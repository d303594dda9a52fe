// orchestrator/run/pins.h — What the tools of a pinned MCP server looked like when it was first
// used: names, descriptions, parameters, kept whole in a file of the user. A server that changes
// them later (a "rug pull", or an update) stops the run until the user has looked at what changed.
#pragma once

#include <map>
#include <span>
#include <string>

#include "engine/base/error.h"
#include "engine/base/json.h"
#include "orchestrator/config/config.h"
#include "tools/tool.h"

namespace swarm::run {

// {"tool": {"description": .., "parameters": ..}, ..}, sorted by name.
Json surface_of(std::span<const std::shared_ptr<tools::Tool>> tools);
// 16 hex digits of a surface, for people and journals; comparing is done with the whole.
std::string surface_hash(const Json& surface);

// What differs, one item per tool: "price: description changed", "refund: new", "stock: gone".
std::vector<std::string> surface_drift(const Json& pinned, const Json& now, config::Pin pin);

class Pins {
 public:
  // A file that does not exist holds nothing. Error kind environment or invalid_input.
  static Result<Pins> open(std::string path);
  // Remembers a server that is new. Error kind failed: what drifted, and what to do about it.
  Result<void> check(const std::string& server, const Json& surface, config::Pin pin);
  // Writes what was remembered, if anything was.
  Result<void> save() const;

 private:
  std::string path_;
  Json servers_ = Json::object();
  bool changed_ = false;
};

}  // namespace swarm::run
