// swarm topology — scores in, routes out, by the same code that a run uses.
#include <CLI/CLI.hpp>
#include <cmath>
#include <set>

#include "engine/base/json.h"
#include "orchestrator/cli/checks.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/topology/routing.h"

namespace swarm::cli {
namespace {

struct TopologyOptions {
  std::string file;
  topology::MatchOptions match;
  bool json = false;
};

struct Scores {
  std::vector<std::string> agents;
  topology::ScoreMatrix matrix;
};

constexpr int32_t kAgentsMax = 4096;

Result<Scores> parse_scores(const Json& json, const std::string& file) {
  const auto bad = [&](const std::string& message) {
    return Error{ErrorKind::invalid_input, message, {.file = file}};
  };
  if (!json.is_object() || !json.contains("scores") || !json["scores"].is_array())
    return bad("expected {\"agents\": [..], \"scores\": [[..]]}");
  for (const auto& [key, value] : json.items()) {
    if (key == "agents" || key == "scores") continue;
    const std::string near = did_you_mean(key, std::vector<std::string>{"agents", "scores"});
    return bad("expected \"agents\" and \"scores\", found " + dump_json(Json(key)) +
               (near.empty() ? "" : "; did you mean \"" + near + "\"?"));
  }
  const Json& rows = json["scores"];
  const size_t n = rows.size();
  if (n == 0 || n > size_t{kAgentsMax})
    return bad("expected 1 to " + std::to_string(kAgentsMax) + " rows in \"scores\", found " +
               std::to_string(n));
  Scores out{.agents = {}, .matrix = topology::ScoreMatrix(static_cast<int32_t>(n))};
  for (size_t i = 0; i < n; ++i) {
    const std::string row = "scores[" + std::to_string(i) + "]";
    if (!rows[i].is_array() || rows[i].size() != n)
      return bad("expected " + std::to_string(n) + " numbers in " + row);
    for (size_t j = 0; j < n; ++j) {
      const Json& cell = rows[i][j];
      if (i == j || cell.is_null()) continue;  // undefined
      if (!cell.is_number()) return bad("expected a number or null in " + row);
      out.matrix.set(static_cast<int32_t>(i), static_cast<int32_t>(j), cell.get<double>());
    }
  }
  for (size_t i = 0; i < n; ++i) out.agents.push_back(std::to_string(i));
  if (!json.contains("agents")) return out;
  const Json& names = json["agents"];
  if (!names.is_array() || names.size() != n)
    return bad("expected " + std::to_string(n) + " names in \"agents\"");
  std::set<std::string> known;
  for (size_t i = 0; i < n; ++i) {
    if (!names[i].is_string()) return bad("expected strings in \"agents\"");
    out.agents[i] = names[i].get<std::string>();
    if (!known.insert(out.agents[i]).second)
      return bad("expected different names in \"agents\", found " + dump_json(names[i]) +
                 " twice");
  }
  return out;
}

Json to_json(const topology::Routing& routing) {
  Json edges = Json::array(), incoming = Json::object();
  for (const topology::Edge& edge : routing.edges)
    edges.push_back({{"from", edge.from}, {"to", edge.to}, {"score", edge.score}});
  for (size_t i = 0; i < routing.incoming.size(); ++i)
    if (!routing.incoming[i].empty()) incoming[std::to_string(i)] = routing.incoming[i];
  return {{"edges", edges}, {"order", routing.order}, {"incoming", incoming}};
}

void print(const Scores& scores, const topology::Routing& routing, std::ostream& out) {
  const auto name = [&](int32_t i) { return scores.agents[static_cast<size_t>(i)]; };
  for (const topology::Edge& edge : routing.edges)
    out << name(edge.from) << " -> " << name(edge.to) << "  " << edge.score << "\n";
  for (const topology::Edge& edge : routing.removed)
    out << name(edge.from) << " -> " << name(edge.to) << "  " << edge.score << "  (cut by k-in)\n";
  if (routing.edges.empty()) out << "no edges\n";
  out << "order:";
  for (int32_t agent : routing.order) out << " " << name(agent);
  out << "\n";
}

Result<int> run_topology(const TopologyOptions& options, CommandContext& context) {
  SWARM_TRY(const std::string text, read_text(options.file, context.in));
  SWARM_TRY(const Json json, parse_json(text, options.file));
  SWARM_TRY(const Scores scores, parse_scores(json, options.file));
  const topology::Routing routing = topology::match(scores.matrix, options.match);
  if (options.json) {
    context.out << dump_json(to_json(routing)) << "\n";
  } else {
    print(scores, routing, context.out);
  }
  return kExitOk;
}

}  // namespace

void register_topology(CLI::App& app, CommandContext& context) {
  CLI::App* sub = app.add_subcommand("topology", "From a score matrix to edges and order");
  auto options = std::make_shared<TopologyOptions>();
  sub->add_option("SCORES", options->file,
                  "JSON {\"agents\": [..], \"scores\": [[..]]}, row = consumer, column = provider "
                  "(- for stdin)")
      ->required();
  expect_number(sub->add_option("--tau", options->match.tau, "an edge needs a score above this"))
      ->required();
  expect_whole(sub->add_option("--k-in", options->match.k_in, "most providers per consumer"), 1,
               kAgentsMax)
      ->required();
  sub->add_flag("--json", options->json, "print one JSON object");
  set_action(*sub, context, options, run_topology);
}

}  // namespace swarm::cli
