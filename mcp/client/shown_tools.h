// mcp/client/shown_tools.h — What people, models and policies were told about the tools of a server
// that has not run yet, and how far that is still so once it runs. The two are compared when a list
// arrives, not at every call. One strand.
#pragma once

#include <functional>
#include <map>
#include <string>
#include <string_view>

#include "engine/base/json.h"

namespace swarm::mcp {

class ShownTools {
 public:
  bool empty() const { return shown_.empty(); }
  // definition: of a remembered list.
  void show(const std::string& name, const Json& definition);
  // offered: the definition that the running server gives, nullptr when it gives none. Asked once
  // for each tool that was shown; replaces what was found before.
  void compare(const std::function<const Json*(const std::string& name)>& offered);
  // "" for a tool that is what it was shown as, or was never shown: nobody was told otherwise.
  std::string_view complaint(const std::string& name) const;

 private:
  std::map<std::string, std::string> shown_;           // name -> what was told, in one form
  std::map<std::string, std::string_view> complaints_;
};

}  // namespace swarm::mcp
