#include "orchestrator/config/references.h"

#include <algorithm>
#include <functional>
#include <map>
#include <set>

#include "orchestrator/config/expression.h"
#include "tools/policy.h"

namespace swarm::config {
namespace {

std::vector<std::string> names_of(const Node& map) {
  std::vector<std::string> out;
  for (const Node::Field& field : map.fields) out.push_back(field.key);
  return out;
}

std::string suggestion(const std::string& word, const std::vector<std::string>& known) {
  const std::string near = did_you_mean(word, known);
  if (!near.empty()) return "; did you mean \"" + near + "\"?";
  std::string all;
  for (const std::string& name : known) all += (all.empty() ? "" : ", ") + name;
  return all.empty() ? "; none is declared" : "; declared: " + all;
}

class Checker {
 public:
  Checker(const Node& document, std::vector<Problem>& problems)
      : doc_(document), problems_(problems), models_(names_of(child(doc_, "models"))),
        agents_(names_of(child(doc_, "agents"))), topologies_(names_of(child(doc_, "topologies"))),
        tasks_(names_of(child(doc_, "graph"))), inputs_(names_of(child(doc_, "inputs"))) {}

  void run() {
    for (const Node::Field& model : child(doc_, "models").fields) check_model(model);
    for (const Node::Field& tool : child(doc_, "tools").fields) check_tool(tool);
    check_servers();
    check_policy();
    for (const Node::Field& agent : child(doc_, "agents").fields) check_agent(agent);
    for (const Node::Field& topology : child(doc_, "topologies").fields) check_topology(topology);
    check_graph();
    for (const Node::Field& output : child(doc_, "outputs").fields)
      check_expressions(output.value, "outputs." + output.key, tasks_);
  }

 private:
  void problem(const std::string& path, const std::string& message, const Place& place) {
    problems_.push_back({path + ": " + message, place});
  }

  // node, when it is text, must be one of known.
  bool refers(const Node& node, const std::string& path, const char* what,
              const std::vector<std::string>& known) {
    if (!node.is_text() || node.pending) return false;
    if (std::find(known.begin(), known.end(), node.text()) != known.end()) return true;
    problem(path, std::string("unknown ") + what + " \"" + node.text() + "\"" +
                      suggestion(node.text(), known),
            node.place);
    return false;
  }

  void model_of(const Node& owner, const std::string& path, const Place& place) {
    const Node& model = child(owner, "model");
    if (!model.is_null()) {
      refers(model, path + ".model", "model", models_);
    } else if (models_.size() > 1) {
      problem(path, "required key \"model\" is missing: there are several models", place);
    }
  }

  void check_model(const Node::Field& model) {
    const std::string path = "models." + model.key;
    const Node& provider = child(model.value, "provider");
    if (!provider.is_text()) return;
    const auto belongs = [&](const char* key, const char* to) {
      const Node& value = child(model.value, key);
      if (provider.text() == to && value.is_null())
        problem(path, "provider " + provider.text() + " needs the key \"" + key + "\"",
                model.place);
      if (provider.text() != to && !value.is_null())
        problem(path + "." + key, "belongs to provider " + std::string(to), value.place);
    };
    belongs("weights", "engine");
    belongs("script", "scripted");
    const Node& context = child(model.value, "context");
    if (provider.text() != "engine" && !context.is_null())
      problem(path + ".context", "belongs to provider engine", context.place);
  }

  static bool is_builtin(const std::string& name) {
    const auto names = tools::builtin_names();
    return std::find(names.begin(), names.end(), name) != names.end();
  }
  std::vector<std::string> known_tools() const {
    const auto builtins = tools::builtin_names();
    std::vector<std::string> out(builtins.begin(), builtins.end());
    for (const std::string& name : names_of(child(doc_, "tools")))
      if (!is_builtin(name)) out.push_back(name);
    return out;
  }

  void check_tool(const Node::Field& tool) {
    const std::string path = "tools." + tool.key;
    const bool script = !child(tool.value, "script").is_null();
    if (script && is_builtin(tool.key))
      problem(path, "is the name of a built-in tool", tool.place);
    if (!script && !is_builtin(tool.key)) {
      const auto names = tools::builtin_names();
      return problem(path, "unknown built-in tool" +
                               suggestion(tool.key, {names.begin(), names.end()}) +
                               "; a tool of your own needs the key \"script\"",
                     tool.place);
    }
    const bool program = script || tool.key == "shell" || tool.key == "code_interpreter";
    const auto belongs = [&](std::initializer_list<const char*> keys, bool here, const char* to) {
      for (const char* key : keys)
        if (const Node& value = child(tool.value, key); !value.is_null() && !here)
          problem(path + "." + key, std::string("belongs to ") + to, value.place);
    };
    belongs({"description", "parameters", "effect"}, script, "a script");
    belongs({"writable", "sandbox", "network", "env", "timeout", "memory", "file_size",
             "output_size", "processes"},
            program, "tools that run programs: shell, code_interpreter, a script");
    belongs({"disk"}, program || tool.key == "write_file" || tool.key == "edit_file",
            "tools that write: write_file, edit_file, shell, code_interpreter, a script");
    belongs({"private_addresses"}, tool.key == "http_fetch", "http_fetch");
    belongs({"root"}, script || tools::builtin_takes_root(tool.key), "tools that work in a folder");
    if (script && child(tool.value, "description").is_null())
      problem(path, "required key \"description\" is missing: it tells the model when to call it",
              tool.place);
    if (tools::builtin_needs_root(tool.key) && child(tool.value, "root").is_null())
      problem(path, "required key \"root\" is missing", tool.place);
    const Node& root = child(tool.value, "root");
    if (program && root.is_text() && !root.pending && root.text() == "/")
      problem(path + ".root", "expected a folder of its own, found the whole system", root.place);
  }

  void check_policy() {
    const Node& policy = child(doc_, "policy");
    for (const char* list : {"deny", "allow", "ask"}) {
      const Node& rules = child(policy, list);
      for (size_t i = 0; i < rules.items.size(); ++i) {
        const Node& rule = rules.items[i];
        const std::string path = "policy." + std::string(list) + "[" + std::to_string(i) + "]";
        if (!rule.is_text() || rule.pending) continue;
        tools::PolicyRules one;
        one.deny = {rule.text()};
        if (const auto made = tools::Policy::make(one); !made) {
          problem(path, made.error().message, rule.place);
          continue;
        }
        // A rule for a tool that cannot be is a misspelt rule: it would protect nothing.
        Node tool = rule;
        tool.scalar = rule.text().substr(0, rule.text().find(':'));
        check_tool_pattern(tool, path, /*needs_options=*/false);
      }
    }
  }

  // A program or a URL, and what belongs to each.
  void check_server(const Node::Field& server, const std::string& path) {
    check_approvals(server, path);
    const Node& off = child(server.value, "disabled");
    if (off.scalar == Json(true)) return;
    const Node& command = child(server.value, "command");
    const Node& url = child(server.value, "url");
    if (command.is_null() == url.is_null())
      return problem(path, url.is_null() ? "one of the keys \"command\" and \"url\" is missing"
                                         : "expected either \"command\" or \"url\", found both",
                     server.place);
    if (const Node& sampling = child(server.value, "sampling"); !sampling.is_null())
      model_of(sampling, path + ".sampling", sampling.place);
    const std::vector<std::string> foreign =
        url.is_null() ? std::vector<std::string>{"headers", "ca_file"}
                      : std::vector<std::string>{"env", "cwd", "args", "restarts_max"};
    for (const std::string& key : foreign)
      if (const Node& value = child(server.value, key.c_str()); !value.is_null())
        problem(path + "." + key, url.is_null() ? "belongs to url" : "belongs to command",
                value.place);
    const auto says = [&](const char* key) -> const Node* {
      const Node& value = child(server.value, key);
      const bool empty = value.is_text() && !value.pending && value.text().empty();
      return value.is_null() || empty ? nullptr : &value;
    };
    if (const Node* replay = says("replay"); replay != nullptr && says("record") != nullptr)
      problem(path + ".replay", "expected either \"record\" or \"replay\", found both",
              replay->place);
    const Node& instance = child(server.value, "instance");
    if (instance.is_text() && instance.text() == "per_agent")
      for (const char* key : {"record", "replay"})
        if (says(key) != nullptr)
          problem(path + ".instance",
                  std::string("expected shared, because ") + key + " is of one session",
                  instance.place);
    const bool web = url.is_text() && !url.pending;
    if (web && !url.text().starts_with("http://") && !url.text().starts_with("https://"))
      problem(path + ".url", "expected http:// or https://, found \"" + url.text() + "\"",
              url.place);
  }

  void check_approvals(const Node::Field& server, const std::string& path) {
    for (const char* list : {"approved_tools", "autoApprove", "alwaysAllow"})
      for (const Node& tool : child(server.value, list).items) {
        tools::PolicyRules rules;
        if (!tool.is_text() || tool.pending) continue;
        rules.approved = {server.key + "/" + tool.text()};
        if (const auto made = tools::Policy::make(rules); !made)
          problem(path + "." + list, made.error().message, tool.place);
      }
  }

  void check_servers() {
    for (const char* section : {"mcp", "mcpServers"})
      for (const Node::Field& server : child(doc_, section).fields)
        check_server(server, std::string(section) + "." + server.key);
    const std::vector<std::string> declared = names_of(child(doc_, "mcp"));
    for (const Node::Field& server : child(doc_, "mcpServers").fields)
      if (std::find(declared.begin(), declared.end(), server.key) != declared.end())
        problem("mcpServers." + server.key, "also declared under mcp", server.place);
  }

  // What can be known before servers are started: built-ins by name, servers by prefix.
  void check_tool_pattern(const Node& node, const std::string& path, bool needs_options = true) {
    if (!node.is_text() || node.pending) return;
    const std::string& pattern = node.text();
    const std::vector<std::string> known = known_tools();
    std::vector<std::string> servers = names_of(child(doc_, "mcp"));
    for (const std::string& name : names_of(child(doc_, "mcpServers"))) servers.push_back(name);
    const size_t slash = pattern.find('/');
    const size_t double_underscore = pattern.find("__");
    const size_t cut = slash != std::string::npos ? slash : double_underscore;
    if (cut != std::string::npos) {
      std::string server = pattern.substr(0, cut);
      for (const std::string& name : servers)      // which may have two underscores itself
        if (slash == std::string::npos && pattern.starts_with(name + "__")) server = name;
      if (server.find('*') == std::string::npos &&
          std::find(servers.begin(), servers.end(), server) == servers.end())
        problem(path, "unknown MCP server \"" + server + "\" in \"" + pattern + "\"" +
                          suggestion(server, servers),
                node.place);
      return;
    }
    if (pattern.find('*') != std::string::npos) return;
    if (std::find(known.begin(), known.end(), pattern) == known.end())
      return problem(path, "unknown tool \"" + pattern + "\"" + suggestion(pattern, known),
                     node.place);
    if (needs_options && tools::builtin_needs_root(pattern) &&
        child(child(doc_, "tools"), pattern).is_null())
      problem(path, pattern + " needs tools." + pattern + ".root", node.place);
  }

  void check_agent(const Node::Field& agent) {
    const std::string path = "agents." + agent.key;
    // Memories call their owner so: routed lines could pass for its own.
    if (agent.key == "me") problem(path, "the name \"me\" is taken", agent.place);
    model_of(agent.value, path, agent.place);
    const Node& tools = child(agent.value, "tools");
    for (size_t i = 0; i < tools.items.size(); ++i)
      check_tool_pattern(tools.items[i], path + ".tools[" + std::to_string(i) + "]");
  }

  // A list of names from `known`, without repetitions.
  std::set<std::string> check_names(const Node& list, const std::string& path, const char* what,
                                    const std::vector<std::string>& known) {
    std::set<std::string> seen;
    for (size_t i = 0; i < list.items.size(); ++i) {
      const std::string at = path + "[" + std::to_string(i) + "]";
      if (!refers(list.items[i], at, what, known)) continue;
      if (!seen.insert(list.items[i].text()).second)
        problem(at, "\"" + list.items[i].text() + "\" is listed twice", list.items[i].place);
    }
    return seen;
  }

  void check_topology(const Node::Field& topology) {
    const std::string path = "topologies." + topology.key;
    const Node& node = topology.value;
    check_names(child(node, "members"), path + ".members", "agent", agents_);
    for (const Node& item : child(node, "members").items) {
      if (!item.is_text()) continue;
      const Node& output = child(child(child(doc_, "agents"), item.text()), "output");
      if (!output.is_null())
        problem("agents." + item.text() + ".output",
                "a member of a topology answers in the form of the rounds", output.place);
    }
    std::vector<std::string> members;
    for (const Node& item : child(node, "members").items)
      if (item.is_text()) members.push_back(item.text());
    check_names(child(node, "answer"), path + ".answer", "member", members);
    const Node& manager = child(node, "manager");
    if (manager.kind == Node::Kind::map) model_of(manager, path + ".manager", manager.place);
    if (child(node, "first_goal").is_text() && child(node, "first_goal").text() == "manager" &&
        manager.is_null())
      problem(path + ".first_goal", "there is no manager", child(node, "first_goal").place);
    const std::string kind = child(node, "kind").is_text() ? child(node, "kind").text() : "dytopo";
    check_kind(node, path, kind, members);
  }

  void check_kind(const Node& node, const std::string& path, const std::string& kind,
                  const std::vector<std::string>& members) {
    const auto belongs = [&](const char* key, const char* to) {
      const Node& value = child(node, key);
      if (kind != to && !value.is_null())
        problem(path + "." + key, "belongs to kind " + std::string(to), value.place);
    };
    belongs("edges", "static");
    if (kind == "static" && child(node, "edges").is_null())
      problem(path, "kind static needs the key \"edges\"", node.place);
    belongs("layers", "layered");
    belongs("random_edges", "random");
    if (kind == "single" && members.size() != 1)
      problem(path + ".members", "expected one member for kind single, found " +
                                     std::to_string(members.size()),
              child(node, "members").place);
    std::set<std::pair<std::string, std::string>> seen;
    const Node& edges = child(node, "edges");
    for (size_t i = 0; i < edges.items.size(); ++i) {
      const std::string at = path + ".edges[" + std::to_string(i) + "]";
      const Node &from = child(edges.items[i], "from"), &to = child(edges.items[i], "to");
      const bool good = refers(from, at + ".from", "member", members);
      if (!refers(to, at + ".to", "member", members) || !good) continue;
      if (from.text() == to.text()) problem(at, "an edge from an agent to itself", from.place);
      if (!seen.emplace(from.text(), to.text()).second)
        problem(at, "an edge listed twice", from.place);
    }
    if (kind == "layered") check_layers(child(node, "layers"), path, node.place, members);
  }

  void check_layers(const Node& layers, const std::string& path, const Place& place,
                    const std::vector<std::string>& members) {
    std::set<std::string> seen;
    for (size_t i = 0; i < layers.items.size(); ++i)
      for (const Node& item : layers.items[i].items) {
        const std::string at = path + ".layers[" + std::to_string(i) + "]";
        if (refers(item, at, "member", members) && !seen.insert(item.text()).second)
          problem(at, "\"" + item.text() + "\" is listed twice", item.place);
      }
    for (const std::string& member : members)
      if (!seen.contains(member))
        problem(path + ".layers", "\"" + member + "\" is in no layer",
                layers.is_null() ? place : layers.place);
  }

  void check_graph() {
    const Node& graph = child(doc_, "graph");
    if (graph.fields.empty()) return check_without_graph();
    for (const Node::Field& task : graph.fields) check_task(task);
    check_cycles(graph);
    for (const Node::Field& task : graph.fields) {
      const std::vector<std::string> before = ancestors_of(graph, task.key);
      check_expressions(child(task.value, "in"), "graph." + task.key + ".in", before);
      check_expressions(child(task.value, "args"), "graph." + task.key + ".args", before);
    }
  }

  void check_without_graph() {
    const Place& place = doc_.place;
    if (topologies_.size() > 1 || (topologies_.empty() && agents_.size() > 1))
      problems_.push_back({"required key \"graph\" is missing: what should be run?", place});
    if (std::find(inputs_.begin(), inputs_.end(), "task") == inputs_.end())
      problems_.push_back({"without graph the work is ${inputs.task}: declare inputs.task", place});
  }

  void check_task(const Node::Field& task) {
    static const std::set<std::string> kReserved{"inputs", "env", "swarm"};
    const std::string path = "graph." + task.key;
    if (kReserved.contains(task.key))
      problem(path, "the name \"" + task.key + "\" is taken", task.place);
    int kinds = 0;
    for (const char* kind : {"agent", "topology", "tool"})
      kinds += !child(task.value, kind).is_null();
    if (kinds != 1 && task.value.kind == Node::Kind::map)
      problem(path, "expected exactly one of agent, topology, tool, found " +
                        std::to_string(kinds),
              task.place);
    refers(child(task.value, "agent"), path + ".agent", "agent", agents_);
    refers(child(task.value, "topology"), path + ".topology", "topology", topologies_);
    check_tool_pattern(child(task.value, "tool"), path + ".tool");
    const bool tool = !child(task.value, "tool").is_null();
    if (!tool && !child(task.value, "args").is_null())
      problem(path + ".args", "belongs to a tool task", child(task.value, "args").place);
    if (tool && !child(task.value, "in").is_null())
      problem(path + ".in", "a tool task has args", child(task.value, "in").place);
    if (!tool && kinds == 1 && child(task.value, "in").is_null())
      problem(path, "required key \"in\" is missing", task.place);
    check_names(child(task.value, "after"), path + ".after", "task", tasks_);
  }

  std::vector<std::string> after_of(const Node& graph, const std::string& task) const {
    std::vector<std::string> out;
    for (const Node& item : child(child(graph, task), "after").items)
      if (item.is_text()) out.push_back(item.text());
    return out;
  }

  std::vector<std::string> ancestors_of(const Node& graph, const std::string& task) const {
    std::set<std::string> seen;
    std::vector<std::string> open = after_of(graph, task);
    while (!open.empty()) {
      const std::string next = open.back();
      open.pop_back();
      if (!seen.insert(next).second) continue;
      for (const std::string& further : after_of(graph, next)) open.push_back(further);
    }
    return {seen.begin(), seen.end()};
  }

  void check_cycles(const Node& graph) {
    enum class Seen : uint8_t { no, open, done };
    std::map<std::string, Seen> seen;
    std::vector<std::string> trail;
    const std::function<void(const std::string&)> visit = [&](const std::string& task) {
      seen[task] = Seen::open;
      trail.push_back(task);
      for (const std::string& before : after_of(graph, task)) {
        if (graph.find(before) == nullptr || seen[before] == Seen::done) continue;
        if (seen[before] == Seen::no) {
          visit(before);
          continue;
        }
        std::string cycle;
        for (auto at = std::find(trail.begin(), trail.end(), before); at != trail.end(); ++at)
          cycle += *at + " -> ";
        problem("graph." + task + ".after", "tasks wait for each other: " + cycle + before,
                child(child(graph, task), "after").place);
      }
      trail.pop_back();
      seen[task] = Seen::done;
    };
    for (const std::string& task : tasks_)
      if (seen[task] == Seen::no) visit(task);
  }

  void check_expressions(const Node& node, const std::string& path,
                         const std::vector<std::string>& tasks) {
    for (const Node& item : node.items) check_expressions(item, path, tasks);
    for (const Node::Field& field : node.fields)
      check_expressions(field.value, path + "." + field.key, tasks);
    if (!node.is_text()) return;
    const Result<std::vector<Reference>> found = references_in(node.scalar);
    if (!found) return problem(path, found.error().message, node.place);
    for (const Reference& reference : *found) check_reference(reference, path, node.place, tasks);
  }

  void check_reference(const Reference& reference, const std::string& path, const Place& place,
                       const std::vector<std::string>& tasks) {
    const std::string& root = reference.path[0];
    if (root == "env" || root == "swarm")
      return problem(path, "${" + reference.text() + "} cannot be read while the swarm runs; give "
                               "an input this default and read the input",
                     place);
    const auto known = [](const std::vector<std::string>& names, const std::string& name) {
      return std::find(names.begin(), names.end(), name) != names.end();
    };
    if (root == "inputs") {
      if (reference.path.size() < 2 || !known(inputs_, reference.path[1]))
        problem(path, "unknown input in ${" + reference.text() + "}" +
                          (reference.path.size() < 2 ? "" : suggestion(reference.path[1], inputs_)),
                place);
      return;
    }
    if (!known(tasks, root)) {
      problem(path,
              known(tasks_, root)
                  ? "${" + reference.text() + "} reads task \"" + root +
                        "\", which need not have ended: add it to after"
                  : "unknown task in ${" + reference.text() + "}" + suggestion(root, tasks_),
              place);
      return;
    }
    if (reference.path.size() < 2 ||
        (reference.path[1] != "output" && reference.path[1] != "state"))
      problem(path, "expected ${" + root + ".output} or ${" + root + ".state}, found ${" +
                        reference.text() + "}",
              place);
  }

  const Node& doc_;
  std::vector<Problem>& problems_;
  std::vector<std::string> models_, agents_, topologies_, tasks_, inputs_;
};

}  // namespace

void check_references(const Node& document, std::vector<Problem>& problems) {
  Checker(document, problems).run();
}

}  // namespace swarm::config
