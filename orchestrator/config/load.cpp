#include "orchestrator/config/load.h"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <filesystem>

#include "engine/base/caret.h"
#include "engine/base/text_file.h"
#include "engine/base/utf8.h"
#include "orchestrator/config/build.h"
#include "orchestrator/config/engine_keys.h"
#include "orchestrator/config/expression.h"
#include "orchestrator/config/mcp_files.h"
#include "orchestrator/config/references.h"
#include "orchestrator/config/repetitions.h"
#include "orchestrator/config/schema.h"
#include "orchestrator/config/written_schemas.h"

namespace swarm::config {
namespace {

namespace fs = std::filesystem;

const std::string kSetName = "--set";
const std::string kInName = "--in";

Problem flag_problem(const std::string& flag, std::string message) {
  return {std::move(message), {{flag, 0, 0}, 1}};
}

// One --set. Sections and keys that the format knows are made where they are missing; what people
// name (agents, models, tasks ...) must be there already: a misspelt name would make a second one.
class Setter {
 public:
  explicit Setter(const Place& place) : place_(place) {}

  // "" or what is wrong.
  std::string set(Node& document, std::string_view path, Node value) {
    Node* at = &document;
    const Type* type = &root_type();
    std::string walked;
    while (true) {
      const std::string step(path.substr(0, path.find('.')));
      if (std::string wrong = refuse(*at, type, step, walked); !wrong.empty()) return wrong;
      at = enter(*at, step);
      if (at == nullptr) return "there is no place \"" + step + "\"";
      type = type_of(type, step);
      if (step.size() == path.size()) break;
      walked += (walked.empty() ? "" : ".") + step;
      path.remove_prefix(step.size() + 1);
    }
    *at = std::move(value);
    return "";
  }

 private:
  // Names of things that have keys of their own. (The variables of an environment, say, are free.)
  static bool holds_named_things(const Type* type) {
    return type != nullptr && type->kind == Type::Kind::map &&
           type->element[0].kind == Type::Kind::object;
  }

  static std::string refuse(const Node& at, const Type* type, const std::string& step,
                            const std::string& walked) {
    if (!holds_named_things(type) || at.find(step) != nullptr) return "";
    std::vector<std::string> names;
    std::string list;
    for (const Node::Field& field : at.fields) {
      names.push_back(field.key);
      list += (list.empty() ? "" : ", ") + field.key;
    }
    const std::string near = did_you_mean(step, names);
    return walked + " has no \"" + step + "\"" +
           (!near.empty()   ? "; did you mean \"" + near + "\"?"
            : list.empty() ? "; the file declares none"
                           : "; declared are " + list);
  }

  // A number steps into a list. Null: there is no such place.
  Node* enter(Node& at, const std::string& step) const {
    if (at.kind == Node::Kind::list) {
      size_t index = at.items.size();
      std::from_chars(step.data(), step.data() + step.size(), index);
      return index < at.items.size() ? &at.items[index] : nullptr;
    }
    if (at.is_null()) at = Node{.kind = Node::Kind::map, .place = place_};
    if (at.kind != Node::Kind::map || step.empty()) return nullptr;
    if (at.find(step) == nullptr) at.fields.push_back({step, place_, Node{.place = place_}});
    return at.find(step);
  }

  // Null: anything goes, or validate() will say that it does not.
  static const Type* type_of(const Type* type, const std::string& step) {
    if (type == nullptr) return nullptr;
    if (type->kind == Type::Kind::map || type->kind == Type::Kind::list) return &type->element[0];
    if (type->kind != Type::Kind::object) return nullptr;
    const Key* key = find_key(*type, step);
    return key == nullptr ? nullptr : &key->type;
  }

  Place place_;
};

// --set a.b.c=VALUE: VALUE is YAML.
void apply_set(Node& document, const std::string& set, Sources& sources,
               std::vector<Problem>& problems) {
  const size_t equals = set.find('=');
  if (equals == std::string::npos || equals == 0) {
    problems.push_back(flag_problem(kSetName, "expected PATH=VALUE, found \"" + set + "\""));
    return;
  }
  std::vector<Problem> found;
  Node value = parse_yaml(set.substr(equals + 1), kSetName, "", sources, found);
  for (const Problem& problem : found)
    problems.push_back(
        flag_problem(kSetName, dump_json(Json(set)) + ": " + problem.message));
  if (!found.empty()) return;
  const Place place{{kSetName + " " + set, 0, 0}, 1};
  Setter setter(place);
  if (const std::string wrong = setter.set(document, set.substr(0, equals),
                                           from_json(to_json(value), place));
      !wrong.empty())
    problems.push_back(flag_problem(kSetName, dump_json(Json(set)) + ": " + wrong));
}

// Programs, files and environments end a text at the first NUL: half of it would count.
void refuse_nul(const Node& node, std::vector<Problem>& problems) {
  const auto has_nul = [](const std::string& text) { return text.find('\0') != std::string::npos; };
  if (node.is_text() && has_nul(node.text()))
    problems.push_back({"expected text without the NUL character, found " + describe(node),
                        node.place});
  for (const Node& item : node.items) refuse_nul(item, problems);
  for (const Node::Field& field : node.fields) {
    if (has_nul(field.key))
      problems.push_back({"expected a key without the NUL character, found " +
                              dump_json(Json(field.key)),
                          field.place});
    refuse_nul(field.value, problems);
  }
}

// The desktop form may be given as the mcp section itself: mcp: !file servers.json.
void unwrap_servers(Node& document) {
  Node* mcp = document.kind == Node::Kind::map ? document.find("mcp") : nullptr;
  if (mcp == nullptr || mcp->kind != Node::Kind::map || mcp->fields.size() != 1 ||
      mcp->fields[0].key != "mcpServers" || document.find("mcpServers") != nullptr)
    return;
  Node::Field servers = std::move(mcp->fields[0]);
  std::erase_if(document.fields, [](const Node::Field& f) { return f.key == "mcp"; });
  document.fields.push_back(std::move(servers));
}

// A value of --in under the declared type.
std::optional<Json> typed(const std::string& text, const std::string& type) {
  if (type == "string") return Json(text);
  const Json scalar = plain_scalar(text);
  if (type == "integer" && scalar.is_number_integer()) return scalar;
  if (type == "number" && scalar.is_number()) return scalar;
  if (type == "boolean" && scalar.is_boolean()) return scalar;
  return std::nullopt;
}

bool has_type(const Json& value, const std::string& type) {
  return (type == "string" && value.is_string()) || (type == "number" && value.is_number()) ||
         (type == "integer" && value.is_number_integer()) ||
         (type == "boolean" && value.is_boolean());
}

class Resolver {
 public:
  Resolver(Node& document, std::string directory, const LoadOptions& options,
           std::vector<Problem>& problems)
      : doc_(document), directory_(std::move(directory)), options_(options),
        problems_(problems) {}

  // Values of the inputs that are known; problems for the others.
  Json read_inputs() {
    Json values = Json::object();
    const Node* inputs = doc_.kind == Node::Kind::map ? doc_.find("inputs") : nullptr;
    std::vector<std::string> declared;
    if (inputs != nullptr)
      for (const Node::Field& field : inputs->fields) {
        declared.push_back(field.key);
        read_input(field, values);
      }
    for (const auto& [name, value] : options_.inputs)
      if (std::find(declared.begin(), declared.end(), name) == declared.end()) {
        const std::string near = did_you_mean(name, declared);
        problems_.push_back(flag_problem(
            kInName, "unknown input \"" + name + "\"" +
                         (near.empty() ? "" : "; did you mean \"" + near + "\"?")));
      }
    inputs_ = values;
    return values;
  }

  void resolve() { resolve(doc_, root_type()); }

  // What read_inputs() found, with references where values came from the environment.
  Json recorded_inputs() const {
    Json out = inputs_;
    for (const auto& [name, written] : environment_inputs_) out[name] = written;
    return out;
  }

 private:
  void read_input(const Node::Field& field, Json& values) {
    const Node* type_node = field.value.find("type");
    const std::string type =
        type_node != nullptr && type_node->is_text() ? type_node->text() : "string";
    const Node* declared_default = field.value.find("default");
    std::optional<Node> fallback;  // with ${swarm...} and ${env...} resolved
    if (declared_default != nullptr && !declared_default->is_null()) {
      fallback = *declared_default;
      resolve_text(*fallback);
    }
    if (const auto given = options_.inputs.find(field.key); given != options_.inputs.end()) {
      const size_t bad = utf8_valid_prefix(given->second);
      if (bad < given->second.size()) {
        problems_.push_back(flag_problem(
            kInName, field.key + ": expected UTF-8 text, found " + byte_text(given->second[bad]) +
                         " at position " + std::to_string(bad + 1)));
      } else if (const std::optional<Json> value = typed(given->second, type)) {
        values[field.key] = *value;
      } else {
        problems_.push_back(flag_problem(kInName, field.key + ": expected " + type + ", found " +
                                                      dump_json(Json(given->second))));
      }
      return;
    }
    if (fallback) {
      if (fallback->pending) return;  // reported
      if (has_type(to_json(*fallback), type)) {
        values[field.key] = to_json(*fallback);
        if (!fallback->written.empty()) environment_inputs_[field.key] = fallback->written;
      } else {
        problems_.push_back({"inputs." + field.key + ".default: expected " + type + ", found " +
                                 describe(*fallback),
                             fallback->place});
      }
      return;
    }
    const Node* required = field.value.find("required");
    const bool must = required != nullptr && required->scalar == true;
    if (must && options_.need_inputs)
      problems_.push_back({"inputs." + field.key + ": required input is missing; say --in " +
                               field.key + "=...",
                           field.place});
    // An optional string without a default is empty; other types have no neutral value.
    if (!must && type == "string") values[field.key] = "";
  }

  void resolve(Node& node, const Type& type) {
    switch (type.kind) {
      case Type::Kind::json: return;
      case Type::Kind::object:
        for (Node::Field& field : node.fields)
          if (const Key* key = find_key(type, field.key); key != nullptr && !key->runtime)
            if (!(&type == &root_type() && field.key == "inputs")) resolve(field.value, key->type);
        return;
      case Type::Kind::map:
        for (Node::Field& field : node.fields) resolve(field.value, type.element[0]);
        return;
      case Type::Kind::list:
        for (Node& item : node.items) resolve(item, type.element[0]);
        return;
      default: resolve_text(node);
    }
  }

  void resolve_text(Node& node) {
    if (!node.is_text() || node.text().find("${") == std::string::npos) return;
    const Result<Template> text = parse_template(node.text());
    if (!text) {
      problems_.push_back({text.error().message, node.place});
      node.pending = true;  // one mistake, one message
      return;
    }
    bool missing = false;
    const Result<Json> value = evaluate(
        *text, [&](const Reference& reference) { return lookup(reference, missing); });
    if (!value) {
      problems_.push_back({value.error().message, node.place, value.error().kind});
      node.pending = true;
    } else if (missing) {
      node.pending = true;
    } else {
      const bool looks_unresolved =
          value->is_string() && value->get<std::string>().find("${") != std::string::npos;
      if (reads_environment(node.scalar) || looks_unresolved) node.written = node.text();
      node.scalar = *value;
    }
  }

  // Directly or through an input. text is a template that can be read.
  bool reads_environment(const Json& text) const {
    const std::vector<Reference> found = references_in(text).value();
    return std::any_of(found.begin(), found.end(), [this](const Reference& one) {
      return one.path[0] == "env" ||
             (one.path[0] == "inputs" && environment_inputs_.contains(one.path.back()));
    });
  }

  Result<Json> lookup(const Reference& reference, bool& missing) const {
    const std::vector<std::string>& path = reference.path;
    const std::string whole = "${" + reference.text() + "}";
    if (path.size() != 2)
      return invalid_input("expected ${inputs.NAME}, ${env.NAME} or ${swarm.NAME}, found " + whole);
    if (path[0] == "inputs") {
      if (inputs_.contains(path[1])) return inputs_[path[1]];
      const Node* declared = doc_.find("inputs");
      if (declared == nullptr || declared->find(path[1]) == nullptr)
        return invalid_input("unknown input in " + whole);
      missing = true;  // reported once already, or not needed now
      return Json("");
    }
    if (path[0] == "env") {
      const char* value = std::getenv(path[1].c_str());
      if (value == nullptr)
        return environment_error("environment variable \"" + path[1] + "\" is not set");
      if (!utf8_is_valid(value))
        return environment_error("environment variable \"" + path[1] + "\" is not UTF-8 text");
      return Json(value);
    }
    if (path[0] == "swarm" && path[1] == "bin_dir") return Json(options_.bin_dir);
    if (path[0] == "swarm" && path[1] == "file_dir")
      return Json(directory_.empty() ? "." : directory_);
    return invalid_input("nothing is called " + whole + " here; inputs, env, swarm.bin_dir and "
                         "swarm.file_dir are");
  }

  Node& doc_;
  std::string directory_;
  const LoadOptions& options_;
  std::vector<Problem>& problems_;
  Json inputs_ = Json::object();
  std::map<std::string, std::string> environment_inputs_;  // name -> default as it was written
};

// File order, then column; flags last.
template <class Placed>
void sort_by_place(std::vector<Placed>& found) {
  std::stable_sort(found.begin(), found.end(), [](const Placed& a, const Placed& b) {
    const SourceLocation &x = a.place.location, &y = b.place.location;
    if ((x.line == 0) != (y.line == 0)) return x.line != 0;
    if (x.file != y.file) return false;
    return x.line != y.line ? x.line < y.line : x.column < y.column;
  });
}

}  // namespace

std::vector<Error> Loaded::errors() const {
  std::vector<Error> out;
  for (const Problem& problem : problems)
    out.push_back({problem.kind, problem.message, problem.place.location});
  return out;
}

std::string Loaded::unused_report() const {
  std::string out;
  for (const Unused& one : unused) {
    const SourceLocation& at = one.place.location;
    out += at.file;
    if (at.line > 0) out += ":" + std::to_string(at.line) + ":" + std::to_string(at.column);
    out += ": warning: " + one.message();
    if (const auto source = sources.find(at.file); source != sources.end())
      out += caret_lines(at, source->second, one.place.width);
    out += "\n";
  }
  return out;
}

std::string Loaded::report() const {
  std::string out;
  for (const Problem& problem : problems) {
    const Error error{problem.kind, problem.message, problem.place.location};
    const auto source = sources.find(problem.place.location.file);
    out += source == sources.end() ? error.to_text()
                                   : render_with_caret(error, source->second, problem.place.width);
    out += "\n";
  }
  const std::string count = std::to_string(problems.size());
  return out + count + (problems.size() == 1 ? " error" : " errors") + "; nothing was started\n";
}

ErrorKind Loaded::kind() const {
  const bool environment =
      !problems.empty() && std::all_of(problems.begin(), problems.end(), [](const Problem& p) {
        return p.kind == ErrorKind::environment;
      });
  return environment ? ErrorKind::environment : ErrorKind::invalid_input;
}

Loaded load_text(const std::string& text, const std::string& name, const std::string& directory,
                 const LoadOptions& options) {
  Loaded out;
  Node document = parse_yaml(text, name, directory, out.sources, out.problems);
  if (document.is_null() && out.problems.empty())
    out.problems.push_back({"expected a map, found an empty file", {{name, 0, 0}, 1}});
  if (document.is_null()) return out;
  for (const std::string& set : options.sets) apply_set(document, set, out.sources, out.problems);
  import_mcp_files(document, directory, out.sources, out.problems, out.warnings);
  refuse_nul(document, out.problems);
  unwrap_servers(document);
  const std::set<std::string> read = inputs_read(document);
  Resolver resolver(document, directory, options, out.problems);
  const Json inputs = resolver.read_inputs();
  resolver.resolve();
  validate(document, out.problems);
  if (document.kind == Node::Kind::map) {
    check_engine_keys(document, out.problems);
    check_references(document, out.problems);
    check_repetitions(document, out.problems);
    check_written_schemas(document, out.problems);
  }
  sort_by_place(out.problems);
  if (!out.problems.empty()) return out;
  out.config = build(document, directory);
  out.config->directory = fs::absolute(directory.empty() ? "." : directory).lexically_normal();
  out.config->inputs = inputs;
  out.config->recorded_inputs = resolver.recorded_inputs();
  if (out.config->name.empty()) out.config->name = fs::path(name).stem().string();
  out.unused = find_unused(*out.config, document, read);
  sort_by_place(out.unused);
  return out;
}

Loaded load_file(const std::string& path, const LoadOptions& options) {
  const Result<std::string> text = read_text_file(path);
  if (!text) {
    const Error error = text.error();
    Loaded out;
    out.problems.push_back({error.message, {{path, 0, 0}, 1}, error.kind});
    return out;
  }
  return load_text(*text, path, fs::path(path).parent_path().string(), options);
}

}  // namespace swarm::config
