#include "orchestrator/config/node.h"

namespace swarm::config {
namespace {

const Node kNothing{};

bool is_block(const Json& json) {
  return (json.is_object() || json.is_array()) && !json.empty();
}

bool is_plain_key(const std::string& key) {
  if (key.empty()) return false;
  for (char c : key)
    if (!(c == '_' || c == '-' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'))) return false;
  return key != "null" && key != "true" && key != "false";
}

void write_yaml(const Json& json, const std::string& indent, std::string& out) {
  if (json.is_object()) {
    for (const auto& [key, value] : json.items()) {
      out += indent + (is_plain_key(key) ? key : dump_json(Json(key))) + ":";
      if (is_block(value)) {
        out += "\n";
        write_yaml(value, indent + "  ", out);
      } else {
        out += " " + dump_json(value) + "\n";
      }
    }
    return;
  }
  for (const Json& value : json) {
    out += indent + "-";
    if (is_block(value)) {
      out += "\n";
      write_yaml(value, indent + "  ", out);
    } else {
      out += " " + dump_json(value) + "\n";
    }
  }
}

// record: see to_record().
Json converted(const Node& node, bool record) {
  if (node.kind == Node::Kind::scalar)
    return record && !node.written.empty() ? Json(node.written) : node.scalar;
  if (node.kind == Node::Kind::list) {
    Json list = Json::array();
    for (const Node& item : node.items) list.push_back(converted(item, record));
    return list;
  }
  Json map = Json::object();
  for (const Node::Field& field : node.fields) map[field.key] = converted(field.value, record);
  return map;
}

}  // namespace

const Node* Node::find(std::string_view key) const {
  for (const Field& field : fields)
    if (field.key == key) return &field.value;
  return nullptr;
}

Node* Node::find(std::string_view key) {
  for (Field& field : fields)
    if (field.key == key) return &field.value;
  return nullptr;
}

const Node& child(const Node& node, std::string_view key) {
  const Node* found = node.kind == Node::Kind::map ? node.find(key) : nullptr;
  return found != nullptr ? *found : kNothing;
}

Json to_json(const Node& node) { return converted(node, false); }
Json to_record(const Node& node) { return converted(node, true); }

Node from_json(const Json& json, const Place& place) {
  Node node;
  node.place = place;
  if (json.is_object()) {
    node.kind = Node::Kind::map;
    for (const auto& [key, value] : json.items())
      node.fields.push_back({key, place, from_json(value, place)});
  } else if (json.is_array()) {
    node.kind = Node::Kind::list;
    for (const Json& value : json) node.items.push_back(from_json(value, place));
  } else {
    node.scalar = json;
  }
  return node;
}

std::string describe(const Node& node) {
  if (node.kind == Node::Kind::list) return "a list";
  if (node.kind == Node::Kind::map) return "a map";
  if (node.scalar.is_null()) return "nothing";
  if (node.scalar.is_boolean()) return node.scalar.get<bool>() ? "true" : "false";
  if (node.scalar.is_number()) return "the number " + dump_json(node.scalar);
  std::string text = node.text();
  constexpr size_t kShown = 60;
  if (text.size() > kShown) text = text.substr(0, kShown) + "...";
  return dump_json(Json(text));
}

std::string to_yaml(const Json& json) {
  if (!is_block(json)) return dump_json(json) + "\n";
  std::string out;
  write_yaml(json, "", out);
  return out;
}

}  // namespace swarm::config
