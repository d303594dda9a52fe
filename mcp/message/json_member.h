// mcp/message/json_member.h — Members of a stranger's JSON. Never throws.
#pragma once

#include <string>

#include "engine/base/json.h"

namespace swarm::mcp {

// The text under `key`; "" when `object` is no object, has no such member, or it is no text.
inline std::string text_member(const Json& object, const char* key) {
  if (!object.is_object()) return "";
  const auto found = object.find(key);
  return found != object.end() && found->is_string() ? found->get<std::string>() : "";
}

// The object under `key`; an empty one otherwise.
inline Json object_member(const Json& object, const char* key) {
  if (!object.is_object()) return Json::object();
  const auto found = object.find(key);
  return found != object.end() && found->is_object() ? *found : Json::object();
}

}  // namespace swarm::mcp
