#include "mcp/client/shown_tools.h"

namespace swarm::mcp {
namespace {

// The order of members says nothing, so it is taken out.
std::string told(const Json& definition) {
  nlohmann::json out = nlohmann::json::object();
  for (const char* key : {"title", "description", "inputSchema", "annotations"})
    if (const auto found = definition.find(key); found != definition.end())
      out[key] = nlohmann::json::parse(dump_json(*found), nullptr, false);
  return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

}  // namespace

void ShownTools::show(const std::string& name, const Json& definition) {
  shown_[name] = told(definition);
}

void ShownTools::compare(const std::function<const Json*(const std::string&)>& offered) {
  complaints_.clear();
  for (const auto& [name, text] : shown_) {
    const Json* now = offered(name);
    if (now == nullptr)
      complaints_[name] = "is not offered any more";
    else if (told(*now) != text)
      complaints_[name] = "has changed";
  }
}

std::string_view ShownTools::complaint(const std::string& name) const {
  const auto found = complaints_.find(name);
  return found != complaints_.end() ? found->second : std::string_view();
}

}  // namespace swarm::mcp
