// orchestrator/config/node.h — A parsed document: values with their places in the source.
// Plain data; one thread at a time. Scalars are typed by the YAML core schema when they are plain,
// text when they are quoted.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/json.h"

namespace swarm::config {

// Where a value was written. width: bytes to underline.
struct Place {
  SourceLocation location = {};
  int width = 1;
};

struct Node {
  struct Field;
  enum class Kind : uint8_t { scalar, list, map };

  Kind kind = Kind::scalar;
  Json scalar = nullptr;       // null, boolean, integer, floating point or text
  std::vector<Node> items = {};
  std::vector<Field> fields = {};  // in the order of the document
  Place place = {};
  // A lone ${inputs.x} whose value is not known yet ("swarm validate"): any type may come of it.
  bool pending = false;
  // The text as it was written, where the value must not be kept: it has a variable of the
  // environment in it (often a secret), or would be taken for a reference when it is read again.
  std::string written = {};

  bool is_null() const { return kind == Kind::scalar && scalar.is_null(); }
  bool is_text() const { return kind == Kind::scalar && scalar.is_string(); }
  const std::string& text() const { return scalar.get_ref<const std::string&>(); }
  const Node* find(std::string_view key) const;  // of a map; null when absent
  Node* find(std::string_view key);
};

struct Node::Field {
  std::string key;
  Place place;
  Node value;
};

// One finding. Rendered with the source line and a caret where the place is known.
struct Problem {
  std::string message;
  Place place = {};
  ErrorKind kind = ErrorKind::invalid_input;
};

// The value of a key; a null scalar when it is absent or node is no map. Lives as long as node.
const Node& child(const Node& node, std::string_view key);

Json to_json(const Node& node);
// The same for the record: values that must not be kept are as they were written.
Json to_record(const Node& node);
// All values carry `place`.
Node from_json(const Json& json, const Place& place);

// For messages: text "abc", the number 5, a list ...
std::string describe(const Node& node);

// `text` as YAML block style; strings are written double-quoted as in JSON.
std::string to_yaml(const Json& json);

}  // namespace swarm::config
