// agents/deferred.h — Tools that are too many to be shown: the model sees two tools instead, one
// that searches the others and one that calls one of them. Pure; one pass owns it.
#pragma once

#include <string>
#include <vector>

#include "agents/agent.h"
#include "tools/tool.h"

namespace swarm::agents {

class DeferredTools {
 public:
  static constexpr const char* kSearch = "search_tools";
  static constexpr const char* kCall = "call_tool";
  static constexpr size_t kHitsMax = 5;

  explicit DeferredTools(std::vector<tools::ToolSpec> specs);

  // Tools that came later: found by a search, while the definitions stay as the model knows them.
  void add(std::vector<tools::ToolSpec> specs);

  // Is not found any more.
  void remove(const std::string& name);

  // What the model sees.
  const std::vector<tools::ToolSpec>& definitions() const { return definitions_; }
  // Definitions of the best hits, one JSON object per line; the names of all when nothing fits.
  Result<std::string> search(const Json& arguments) const;
  // The call that a call of kCall stands for, with the same id.
  static Result<ToolCall> unwrap(const ToolCall& call);

 private:
  std::vector<tools::ToolSpec> specs_;
  std::vector<tools::ToolSpec> definitions_;
};

}  // namespace swarm::agents
