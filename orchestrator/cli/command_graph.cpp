// swarm graph — the declared graph of a file, or the graph of each round of a run.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>

#include "engine/base/json.h"
#include "engine/base/text_file.h"
#include "orchestrator/cli/checks.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/files.h"
#include "orchestrator/config/yaml.h"
#include "orchestrator/run/store.h"

namespace swarm::cli {
namespace {

struct GraphOptions {
  std::string source;
  std::string format = "mermaid";
  std::string dir = ".swarm/runs";
};

struct Arrow {
  std::string from, to, label;
};
// One picture: nodes and arrows under a title.
struct Picture {
  std::string title;
  std::vector<std::string> nodes;
  std::vector<Arrow> arrows;
};

std::vector<Picture> pictures_of(const config::Config& config) {
  std::vector<Picture> out;
  Picture tasks{.title = config.name, .nodes = {}, .arrows = {}};
  for (const config::TaskEntry& task : config.tasks) {
    tasks.nodes.push_back(task.name);
    for (const std::string& before : task.after) tasks.arrows.push_back({before, task.name, ""});
  }
  out.push_back(std::move(tasks));
  for (const config::TopologyEntry& entry : config.topologies) {
    Picture picture{.title = entry.name, .nodes = entry.members, .arrows = {}};
    const auto shape = topology::make_topology(entry.options);
    const bool drawn = shape && !(*shape)->needs_scores();
    if (drawn)
      for (const topology::Edge& edge : (*shape)->route({}).edges)
        picture.arrows.push_back({entry.members[static_cast<size_t>(edge.from)],
                                  entry.members[static_cast<size_t>(edge.to)], ""});
    else
      picture.title += " (edges are drawn each round)";
    out.push_back(std::move(picture));
  }
  return out;
}

// The file that was recorded beside the journal. Only its names are read: what it speaks of
// (weights, variables of the environment) need not be there any more.
config::Node recorded_file(const run::StoredRun& stored) {
  const auto text = read_text_file(stored.summary.directory + "/swarm.yaml");
  if (!text) return {};                    // the tasks are drawn without arrows
  config::Sources sources;
  std::vector<config::Problem> problems;
  return config::parse_yaml(*text, "swarm.yaml", stored.summary.directory, sources, problems);
}

// The tasks in the order of the file, and which waits for which.
Picture tasks_of(const run::StoredRun& stored) {
  Picture out{.title = stored.summary.name, .nodes = {}, .arrows = {}};
  for (const run::Event& event : stored.journal.events)
    if (event.type == "run.start")
      for (const Json& task : event.data.value("tasks", Json::array()))
        out.nodes.push_back(task.get<std::string>());
  const auto known = [&](const std::string& name) {
    return std::find(out.nodes.begin(), out.nodes.end(), name) != out.nodes.end();
  };
  const config::Node file = recorded_file(stored);
  for (const std::string& task : out.nodes)
    for (const config::Node& before :
         config::child(config::child(config::child(file, "graph"), task), "after").items)
      if (before.is_text() && known(before.text()))
        out.arrows.push_back({before.text(), task, ""});
  return out;
}

// Of each round; of several tasks also how they hang together.
std::vector<Picture> pictures_of(const run::StoredRun& stored) {
  std::vector<Picture> out;
  for (const run::Event& event : stored.journal.events) {
    if (event.type != "topology") continue;
    Picture picture{.title = event.data.value("task", "") + " round " +
                             dump_json(event.data.at("round")),
                    .nodes = {},
                    .arrows = {}};
    for (const Json& agent : event.data.at("agents"))
      picture.nodes.push_back(agent.get<std::string>());
    for (const Json& edge : event.data.at("edges"))
      picture.arrows.push_back({edge.at("from").get<std::string>(),
                                edge.at("to").get<std::string>(), dump_json(edge.at("score"))});
    out.push_back(std::move(picture));
  }
  Picture tasks = tasks_of(stored);
  if (out.empty() || tasks.nodes.size() > 1) out.insert(out.begin(), std::move(tasks));
  return out;
}

// A title is free text; node names are letters, digits, _ and -.
std::string escaped(const std::string& title, const char* quote) {
  std::string out;
  for (const char c : visible(title))
    if (c == '"')
      out += quote;
    else
      out += c == '\n' || c == '\r' ? ' ' : c;
  return out;
}

void print_mermaid(const std::vector<Picture>& pictures, std::ostream& out) {
  out << "flowchart LR\n";
  for (size_t i = 0; i < pictures.size(); ++i) {
    // Names are letters, digits, _ and -: safe as ids behind a prefix.
    const std::string prefix = "g" + std::to_string(i) + "_";
    out << "  subgraph g" << i << "[\"" << escaped(pictures[i].title, "#quot;") << "\"]\n";
    for (const std::string& node : pictures[i].nodes)
      out << "    " << prefix << node << "[\"" << node << "\"]\n";
    for (const Arrow& arrow : pictures[i].arrows) {
      out << "    " << prefix << arrow.from << " -->";
      if (!arrow.label.empty()) out << "|" << arrow.label << "|";
      out << " " << prefix << arrow.to << "\n";
    }
    out << "  end\n";
  }
}

void print_dot(const std::vector<Picture>& pictures, std::ostream& out) {
  out << "digraph swarm {\n  rankdir=LR;\n";
  for (size_t i = 0; i < pictures.size(); ++i) {
    const auto id = [i](const std::string& node) {
      return "\"" + std::to_string(i) + "/" + node + "\"";
    };
    out << "  subgraph cluster_" << i << " {\n    label=\""
        << escaped(pictures[i].title, "\\\"") << "\";\n";
    for (const std::string& node : pictures[i].nodes)
      out << "    " << id(node) << " [label=\"" << node << "\"];\n";
    for (const Arrow& arrow : pictures[i].arrows)
      out << "    " << id(arrow.from) << " -> " << id(arrow.to) << " [label=\"" << arrow.label
          << "\"];\n";
    out << "  }\n";
  }
  out << "}\n";
}

void print_json(const std::vector<Picture>& pictures, std::ostream& out) {
  Json graphs = Json::array();
  for (const Picture& picture : pictures) {
    Json edges = Json::array();
    for (const Arrow& arrow : picture.arrows) {
      edges.push_back({{"from", arrow.from}, {"to", arrow.to}});
      if (!arrow.label.empty()) edges.back()["score"] = parse_json(arrow.label).value();
    }
    graphs.push_back({{"title", picture.title}, {"nodes", picture.nodes}, {"edges", edges}});
  }
  out << dump_json({{"graphs", graphs}}) << "\n";
}

// As "swarm run" ends where there is no such file.
Error neither(const GraphOptions& options) {
  std::vector<std::string> ids;
  for (const run::RunSummary& known : run::list_runs(options.dir)) ids.push_back(known.id);
  const std::string near = did_you_mean(options.source, ids);
  return environment_error("\"" + options.source + "\" is neither a file nor a run in \"" +
                           options.dir + "\"" +
                           (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
}

Result<int> run_graph(const GraphOptions& options, CommandContext& context) {
  context.json = options.format == "json";
  std::vector<Picture> pictures;
  std::error_code ignored;
  if (std::filesystem::is_regular_file(options.source, ignored)) {
    const LoadedFile loaded =
        load_swarm({.file = options.source, .inputs = {}, .sets = {}}, false, context);
    if (!loaded.config) return loaded.code;
    pictures = pictures_of(*loaded.config);
  } else if (!run::find_run(options.dir, options.source)) {
    return neither(options);
  } else {
    SWARM_TRY(const run::StoredRun stored, run::open_run(options.dir, options.source));
    pictures = pictures_of(stored);
  }
  if (options.format == "json") {
    print_json(pictures, context.out);
  } else if (options.format == "dot") {
    print_dot(pictures, context.out);
  } else {
    print_mermaid(pictures, context.out);
  }
  return kExitOk;
}

}  // namespace

void register_graph(CLI::App& app, CommandContext& context) {
  CLI::App* sub = app.add_subcommand("graph", "Draw a swarm file, or each round of a run");
  auto options = std::make_shared<GraphOptions>();
  sub->add_option("SOURCE", options->source, "swarm file, run id or run directory")->required();
  sub->add_option("--format", options->format, "mermaid, dot or json")
      ->check(CLI::IsMember({"mermaid", "dot", "json"}))
      ->capture_default_str();
  sub->add_option("--dir", options->dir, "where runs are kept")->capture_default_str();
  set_action(*sub, context, options, run_graph);
}

}  // namespace swarm::cli
