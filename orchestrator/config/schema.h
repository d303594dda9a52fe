// orchestrator/config/schema.h — The keys of a swarm file, described once. The same description
// checks a document, supplies defaults to the loader, and prints as JSON Schema.
// Pure and thread-safe.
#pragma once

#include <cstdint>
#include <limits>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/json.h"
#include "orchestrator/config/node.h"

namespace swarm::config {

struct Key;

struct Type {
  enum class Kind : uint8_t {
    text,
    integer,
    number,
    boolean,
    duration,   // "250ms", "30s", "5m", "1h"
    bytes,      // "8GiB" or a number of bytes
    choice,     // one of `choices`
    scalar,     // text, number or boolean
    list,       // of element[0]
    map,        // of element[0], keys are names
    object,     // of `keys`
    json,       // anything
  };
  Kind kind = Kind::json;
  double min = std::numeric_limits<double>::lowest();
  double max = std::numeric_limits<double>::max();
  bool above_min = false;      // min itself is out
  std::vector<std::string> choices = {};  // choice; bytes: words allowed besides a size
  std::vector<std::pair<std::string, std::string>> refused = {};  // known, and why not
  std::vector<Type> element = {};
  std::vector<Key> keys = {};
  size_t items_min = 0;
};

struct Key {
  std::string name;
  Type type;
  std::string doc;
  bool required = false;
  Json fallback = nullptr;     // the default; null = none
  // The value may hold ${...} of tasks, resolved while the run goes on.
  bool runtime = false;
};

// The whole file.
const Type& root_type();
const Key* find_key(const Type& object, std::string_view name);

// Checks types, ranges, required and unknown keys; one problem per mistake.
void validate(const Node& document, std::vector<Problem>& problems);

// JSON Schema (draft 2020-12) that accepts what validate() accepts.
Json json_schema();

struct ListedKey {
  std::string path;            // "agents.NAME.model", "graph.NAME.after[]"
  const Key* key;
};
// Every key of the file, in document order.
std::vector<ListedKey> list_keys();

// "text", "integer 1..256", "one of a, b": for messages and for the table in configs/schema.md.
std::string type_text(const Type& type);

// A name of an agent, model, task ...: [A-Za-z_][A-Za-z0-9_-]*
bool is_name(std::string_view text);

}  // namespace swarm::config
