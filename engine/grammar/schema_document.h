// engine/grammar/schema_document.h — One JSON Schema document as the compiler sees it: which
// keywords exist, local references, merging of schemas that must hold together, and what two
// schemas have in common. Pure functions over a document that outlives the object.
// Semantics: JSON Schema 2020-12 validation, with the forms of draft 7 that still occur
// (definitions, items as an array, additionalItems).
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/json.h"
#include "engine/grammar/numbers.h"

namespace swarm::engine::grammar {

// Keywords that never constrain a value: title, description, default, examples, $schema, $id,
// $comment, $defs, definitions, deprecated, readOnly, writeOnly, contentEncoding, contentMediaType
// and any that begins with "x-".
bool is_annotation(std::string_view keyword);

class SchemaDocument {
 public:
  // name: how errors call it, such as tool "search".
  SchemaDocument(const Json& root, std::string name) : root_(root), name_(std::move(name)) {}

  const Json& root() const { return root_; }
  // path: a JSON pointer.
  std::string at(const std::string& path) const { return name_ + "#" + path; }

  // Every keyword of this schema (not of those inside) is known and has a value of its type.
  Result<void> check(const Json& schema, const std::string& path) const;

  struct Target {
    const Json* schema;
    std::string path;
  };
  Result<Target> resolve(const std::string& reference, const std::string& path) const;

  // Follows $ref and allOf until the schema has neither, merging in what stands beside them.
  Result<Json> flatten(Json schema, const std::string& path) const;

  // Both must hold. nullopt: nothing satisfies both.
  Result<std::optional<Json>> merge(const Json& a, const Json& b, const std::string& path) const;

  // Whether a value of an enum or const satisfies the rest of its flat schema.
  Result<bool> admits(const Json& schema, const Json& value, const std::string& path) const;

  // True only if no text generated for one of them is valid against the other.
  bool disjoint(const Json& a, const Json& b, const std::string& path) const;

 private:
  bool never_valid(const Json& generated, const Json& other, const std::string& path,
                   int nesting) const;
  bool objects_apart(const Json& g, const Json& o, const std::string& path, int nesting) const;
  Result<std::optional<Json>> merge_keyword(Json& into, const std::string& key, const Json& value,
                                            const std::string& path) const;
  Result<bool> merge_objects(Json& into, const Json& b, const std::string& path) const;

  const Json& root_;
  std::string name_;
};

// The values of enum or const, if the schema has one of them.
std::optional<std::vector<Json>> listed_values(const Json& schema);
// The schema without what does not constrain, as a name: equal texts admit equal values.
std::string content_of(const Json& schema);
// Type names admitted: the keyword, else what the other keywords imply, else all. "number" comes
// without "integer".
std::vector<std::string> types_of(const Json& schema);
NumberRange range_of(const Json& schema);
// Equality of JSON Schema: 1 and 1.0 are equal, objects regardless of order.
bool same_value(const Json& a, const Json& b);

}  // namespace swarm::engine::grammar
