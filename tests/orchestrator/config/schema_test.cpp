// The table of keys drives the loader, the printed schema and the documentation; none may differ.
#include <doctest/doctest.h>

#include <set>
#include <string>

#include "orchestrator/config/load.h"
#include "orchestrator/config/schema.h"
#include "tests/support/support.h"

using namespace swarm;
using namespace swarm::config;

namespace {

// A value of the type that the loader accepts.
Node valid_value(const Type& type) {
  using Kind = Type::Kind;
  switch (type.kind) {
    case Kind::text:
    case Kind::scalar:
    case Kind::json: return {.scalar = "x"};
    case Kind::boolean: return {.scalar = true};
    case Kind::integer: return {.scalar = static_cast<int64_t>(type.min)};
    case Kind::number: return {.scalar = type.above_min ? type.max : type.min};
    case Kind::duration: return {.scalar = "1s"};
    case Kind::bytes: return {.scalar = "1MiB"};
    case Kind::choice: return {.scalar = type.choices[0]};
    case Kind::list: return {.kind = Node::Kind::list, .items = {valid_value(type.element[0])}};
    case Kind::map: {
      Node map{.kind = Node::Kind::map};
      map.fields.push_back(Node::Field{"name", Place{}, valid_value(type.element[0])});
      return map;
    }
    case Kind::object: break;
  }
  Node node{.kind = Node::Kind::map};
  for (const Key& key : type.keys)
    node.fields.push_back(Node::Field{key.name, Place{}, valid_value(key.type)});
  return node;
}

size_t problems_in(const Node& document) {
  std::vector<Problem> problems;
  validate(document, problems);
  return problems.size();
}

// Calls visit(node, type) for every node of a document with its type; nodes may be changed.
template <class Visit>
void walk_typed(Node& node, const Type& type, const Visit& visit) {
  if (type.kind == Type::Kind::object) {
    for (const Key& key : type.keys)
      if (Node* value = node.find(key.name)) walk_typed(*value, key.type, visit);
  } else if (type.kind == Type::Kind::map) {
    walk_typed(node.fields[0].value, type.element[0], visit);
  } else if (type.kind == Type::Kind::list) {
    walk_typed(node.items[0], type.element[0], visit);
  }
  visit(node, type);
}

const Json& property(const Json& schema, const std::string& name) {
  return schema["properties"][name];
}

// The schema below anyOf [.., null].
const Json& inner(const Json& schema) {
  return schema.contains("anyOf") ? schema["anyOf"][0] : schema;
}

void compare(const Type& type, const Json& schema, const std::string& path, int& keys) {
  CAPTURE(path);
  if (type.kind == Type::Kind::object) {
    REQUIRE(schema["additionalProperties"] == false);
    CHECK(schema["properties"].size() == type.keys.size());
    std::set<std::string> required;
    if (schema.contains("required"))
      for (const Json& name : schema["required"]) required.insert(name.get<std::string>());
    for (const Key& key : type.keys) {
      ++keys;
      REQUIRE(schema["properties"].contains(key.name));
      CHECK(required.contains(key.name) == key.required);
      CHECK(!key.doc.empty());
      const Json& described = property(schema, key.name);
      CHECK(described["description"] == key.doc);
      if (key.fallback.is_null()) {
        CHECK(!described.contains("default"));
      } else {
        CHECK(described["default"] == key.fallback);
      }
      compare(key.type, inner(described), path + "." + key.name, keys);
    }
  } else if (type.kind == Type::Kind::map) {
    compare(type.element[0], inner(schema["additionalProperties"]), path + ".NAME", keys);
  } else if (type.kind == Type::Kind::list) {
    compare(type.element[0], inner(schema["items"]), path + "[]", keys);
  }
}

}  // namespace

TEST_CASE("schema: a document with every key of the table is accepted") {
  CHECK(problems_in(valid_value(root_type())) == 0);
}

TEST_CASE("schema: at every object one unknown key is one problem") {
  Node document = valid_value(root_type());
  int objects = 0;
  walk_typed(document, root_type(), [&](Node& node, const Type& type) {
    if (type.kind != Type::Kind::object) return;
    ++objects;
    node.fields.push_back(Node::Field{"qqqq", Place{}, Node{.scalar = 1}});
    CHECK(problems_in(document) == 1);
    node.fields.pop_back();
  });
  CHECK(objects >= 15);
}

TEST_CASE("schema: at every typed value a wrong type is one problem") {
  Node document = valid_value(root_type());
  int values = 0;
  walk_typed(document, root_type(), [&](Node& node, const Type& type) {
    if (type.kind == Type::Kind::json) return;
    ++values;
    const Node saved = node;
    // A list where anything else is expected, and a number where a list is.
    node = type.kind == Type::Kind::list ? Node{.scalar = 5} : Node{.kind = Node::Kind::list};
    CHECK(problems_in(document) == 1);
    if (type.kind == Type::Kind::integer || type.kind == Type::Kind::number) {
      node = {.scalar = type.kind == Type::Kind::integer
                            ? Json(static_cast<int64_t>(type.max) + 1)
                            : Json(type.max + 1)};
      CHECK(problems_in(document) == 1);
    }
    node = saved;
  });
  CHECK(values > 80);
  CHECK(problems_in(document) == 0);
}

TEST_CASE("schema: every required key is asked for") {
  Node document = valid_value(root_type());
  int required = 0;
  walk_typed(document, root_type(), [&](Node& node, const Type& type) {
    if (type.kind != Type::Kind::object) return;
    for (size_t i = 0; i < node.fields.size(); ++i) {
      if (!find_key(type, node.fields[i].key)->required) continue;
      ++required;
      const Node saved = node;
      node.fields.erase(node.fields.begin() + static_cast<std::ptrdiff_t>(i));
      CHECK(problems_in(document) == 1);
      node = saved;
    }
  });
  CHECK(required >= 7);
}

TEST_CASE("schema: what is printed is the table that validates") {
  int keys = 0;
  compare(root_type(), json_schema(), "", keys);
  CHECK(keys == static_cast<int>(list_keys().size()));
}

TEST_CASE("schema: configs/schema.md lists every key with its type and default") {
  const std::string page = test::read_file("configs/schema.md");
  for (const ListedKey& listed : list_keys()) {
    CAPTURE(listed.path);
    const bool shown = !listed.key->fallback.is_null();
    const std::string row =
        "| `" + listed.path + "` | " + type_text(listed.key->type) + " | " +
        (listed.key->required ? "required"
                              : shown ? "`" + dump_json(listed.key->fallback) + "`" : "") +
        " | " + listed.key->doc + " |\n";
    CHECK(page.find(row) != std::string::npos);
  }
}
