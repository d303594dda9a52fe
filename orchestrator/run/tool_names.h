// orchestrator/run/tool_names.h — The names under which the tools of several servers are shown
// together: at most 64 of [A-Za-z0-9_-], each of them once, and the same whatever server was there
// first or is there at all. Pure, but for the tool that stands for another.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "tools/tool.h"

namespace swarm::run {

// What a name must not be mixed up with: both are known before any server is started.
struct NameSpace {
  std::span<const std::string> servers;    // all that are declared
  std::span<const std::string> ours;       // names of our own tools
};

// SERVER__TOOL as the server's client has made it, if it can be read in one way only: no tool of
// ours, and no other server, could have it. Else it ends in a hash of server and remote name. Of
// the servers "a" and "a__b", names that begin with a__b__ belong to the latter.
std::string public_name(const tools::ToolSpec& spec, const NameSpace& space);

// The tool itself, or one in front of it that has the public name. Both remember server and remote
// name.
std::shared_ptr<tools::Tool> under_public_name(std::shared_ptr<tools::Tool> tool,
                                               const NameSpace& space);

}  // namespace swarm::run
