// orchestrator/config/view.h — A map of the document together with its description, for building
// the plain data out of it. Asking for a key that the description does not have is a bug; a key
// that is absent has the description's default. The document was validated; it outlives the view.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/check.h"
#include "engine/base/units.h"
#include "orchestrator/config/config.h"
#include "orchestrator/config/node.h"
#include "orchestrator/config/schema.h"

namespace swarm::config {

class View {
 public:
  View(const Node* node, const Type* type) : node_(node), type_(type) {}

  bool has(const char* name) const {
    key(name);
    const Node* value = find(name);
    return value != nullptr && !value->is_null() && !value->pending;
  }
  Json json(const char* name) const {
    const Key& described = key(name);
    return has(name) ? to_json(*find(name)) : described.fallback;
  }
  std::string text(const char* name) const {
    const Json value = json(name);
    return value.is_string() ? value.get<std::string>() : "";
  }
  template <class T>
  T number(const char* name) const {
    return json(name).get<T>();
  }
  bool boolean(const char* name) const { return json(name).get<bool>(); }
  template <class T>
  std::optional<T> maybe(const char* name) const {
    if (!has(name)) return std::nullopt;
    return json(name).get<T>();
  }
  std::optional<Milliseconds> duration(const char* name) const {
    const std::string value = text(name);
    if (value.empty()) return std::nullopt;
    return *parse_duration(value);
  }
  std::vector<std::string> texts(const char* name) const {
    std::vector<std::string> out;
    const Json value = json(name);
    if (value.is_array())
      for (const Json& item : value) out.push_back(item.get<std::string>());
    return out;
  }
  View child(const char* name) const { return {has(name) ? find(name) : nullptr, &key(name).type}; }
  // Entries of a map of objects.
  std::vector<std::pair<std::string, View>> entries(const char* name) const {
    std::vector<std::pair<std::string, View>> out;
    if (!has(name)) return out;
    for (const Node::Field& field : find(name)->fields)
      out.emplace_back(field.key, View(&field.value, &key(name).type.element[0]));
    return out;
  }

 private:
  const Node* find(const char* name) const {
    return node_ != nullptr ? node_->find(name) : nullptr;
  }
  const Key& key(const char* name) const {
    const Key* found = find_key(*type_, name);
    SWARM_CHECK(found != nullptr, name);
    return *found;
  }

  const Node* node_;
  const Type* type_;
};

}  // namespace swarm::config
