#include "orchestrator/config/written_schemas.h"

#include <algorithm>
#include <optional>
#include <string>

#include "engine/chat.h"
#include "tools/tool.h"

namespace swarm::config {
namespace {

// Whether something in it is only known when the swarm runs.
bool is_open(const Node& node) {
  if (node.pending) return true;
  if (node.is_text()) return node.text().find("${") != std::string::npos;
  return std::any_of(node.items.begin(), node.items.end(), is_open) ||
         std::any_of(node.fields.begin(), node.fields.end(),
                     [](const Node::Field& field) { return is_open(field.value); });
}

class SchemaChecker {
 public:
  SchemaChecker(const Node& document, std::vector<Problem>& problems)
      : doc_(document), problems_(problems) {}

  void run() {
    for (const Node::Field& agent : child(doc_, "agents").fields) check_output(agent);
    for (const Node::Field& tool : child(doc_, "tools").fields) check_parameters(tool);
    for (const Node::Field& task : child(doc_, "graph").fields) check_arguments(task);
  }

 private:
  void problem(const std::string& path, const std::string& message, const Place& place) {
    problems_.push_back({path + message, place});
  }

  // The grammar's errors begin with the JSON pointer into the schema: "#/properties/a/type: ...".
  void check_output(const Node::Field& agent) {
    const Node& output = child(agent.value, "output");
    if (output.is_null() || is_open(output)) return;
    const auto usable = engine::check_output_schema(to_json(output));
    if (!usable) problem("agents." + agent.key + ".output", usable.error().message, output.place);
  }

  void check_parameters(const Node::Field& tool) {
    const Node& parameters = child(tool.value, "parameters");
    if (parameters.is_null() || is_open(parameters)) return;
    const auto usable = tools::check_schema(to_json(parameters));
    if (!usable)
      problem("tools." + tool.key + ".parameters: ", usable.error().message, parameters.place);
  }

  std::optional<Json> schema_of(const std::string& tool) const {
    const Node& declared = child(child(doc_, "tools"), tool);
    if (!child(declared, "script").is_null()) {
      const Node& parameters = child(declared, "parameters");
      if (parameters.is_null()) return Json{{"type", "object"}};
      if (is_open(parameters) || !tools::check_schema(to_json(parameters))) return std::nullopt;
      return to_json(parameters);
    }
    tools::BuiltinOptions options;
    options.program.root = "/";      // its folder need not be there to know what it takes
    options.artifacts = std::make_shared<tools::Artifacts>(std::string());
    const auto made = tools::make_builtin(tool, options);
    return made ? std::optional((*made)->spec().parameters) : std::nullopt;
  }

  void check_arguments(const Node::Field& task) {
    const Node& tool = child(task.value, "tool");
    const Node& arguments = child(task.value, "args");
    if (!tool.is_text() || tool.pending || arguments.pending) return;
    if (!arguments.is_null() && arguments.kind != Node::Kind::map) return;  // a type error already
    std::optional<Json> schema = schema_of(tool.text());
    if (!schema) return;
    // What only the run will know is taken for right.
    for (const Node::Field& argument : arguments.fields)
      if (is_open(argument.value) && schema->contains("properties") &&
          (*schema)["properties"].contains(argument.key))
        (*schema)["properties"][argument.key] = Json::object();
    const Json value = arguments.is_null() ? Json::object() : to_json(arguments);
    if (const auto valid = tools::validate_json(*schema, value); !valid)
      problem("graph." + task.key + ".args: ", valid.error().message,
              arguments.is_null() ? task.place : arguments.place);
  }

  const Node& doc_;
  std::vector<Problem>& problems_;
};

}  // namespace

void check_written_schemas(const Node& document, std::vector<Problem>& problems) {
  SchemaChecker(document, problems).run();
}

}  // namespace swarm::config
