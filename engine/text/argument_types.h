// engine/text/argument_types.h — Which JSON types a schema leaves open, as far as the text of an
// XML argument must know to become a value. Looks through $ref, allOf, anyOf, oneOf, enum, const;
// an over-approximation otherwise: validating is somebody else's job. document is what local
// references point into. Pure functions, thread-safe, bounded on schemas that refer to themselves.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/json.h"

namespace swarm::engine::text {

enum class JsonType : uint8_t { null, boolean, integer, number, object, array, string };

class TypeSet {
 public:
  static TypeSet none() { return TypeSet(0); }
  static TypeSet all() { return TypeSet(0x7F); }

  bool has(JsonType type) const { return (bits_ & bit(type)) != 0; }
  void add(JsonType type) { bits_ = static_cast<uint8_t>(bits_ | bit(type)); }
  TypeSet operator|(TypeSet other) const { return TypeSet(bits_ | other.bits_); }
  TypeSet operator&(TypeSet other) const { return TypeSet(bits_ & other.bits_); }
  bool operator==(const TypeSet&) const = default;

 private:
  explicit TypeSet(int bits) : bits_(static_cast<uint8_t>(bits)) {}
  static int bit(JsonType type) { return 1 << static_cast<int>(type); }
  uint8_t bits_;
};

// "number" holds the integers too.
TypeSet possible_types(const Json& schema, const Json& document);

// The value of an enum or const that is written so: strings bare, everything else as JSON.
std::optional<Json> find_listed(const Json& schema, const Json& document, std::string_view text);

// The schema of a property, in properties here or behind $ref and allOf; null if there is none.
const Json* find_property(const Json& schema, const Json& document, const std::string& name);

}  // namespace swarm::engine::text
