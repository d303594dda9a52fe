// swarm embed — vectors and cosines of texts, with the encoder a topology would use.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <iomanip>

#include "engine/base/json.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/topology/encoder.h"

namespace swarm::cli {
namespace {

struct EmbedOptions {
  std::string model = "lexical";
  std::vector<std::string> texts;
  bool json = false;
};

// Undefined (a text without words) is null.
Json number_or_null(double value) { return std::isnan(value) ? Json(nullptr) : Json(value); }

Result<int> run_embed(const EmbedOptions& options, CommandContext& context) {
  SWARM_TRY(const auto encoder, topology::make_encoder(options.model));
  const std::vector<topology::Embedding> vectors = encoder->embed(options.texts);
  // cosine() with itself is undefined for a text without words.
  if (std::all_of(vectors.begin(), vectors.end(), [](const topology::Embedding& vector) {
        return std::isnan(topology::cosine(vector, vector));
      }))
    return invalid_input("expected a text with words, found " + dump_json(Json(options.texts[0])));
  if (options.json) {
    Json rows = Json::array(), cosines = Json::array();
    for (const topology::Embedding& a : vectors) {
      rows.push_back(topology::normalised(a));
      Json row = Json::array();
      for (const topology::Embedding& b : vectors)
        row.push_back(number_or_null(topology::cosine(a, b)));
      cosines.push_back(row);
    }
    context.out << dump_json({{"model", encoder->name()},
                              {"dimension", vectors.empty() ? 0 : vectors.front().size()},
                              {"vectors", rows},
                              {"cosine", cosines}})
                << "\n";
    return kExitOk;
  }
  context.out << std::fixed << std::setprecision(3);
  for (size_t i = 0; i < vectors.size(); ++i) {
    for (const topology::Embedding& other : vectors) {
      const double value = topology::cosine(vectors[i], other);
      context.out << std::setw(8);
      if (std::isnan(value)) {
        context.out << "-";
      } else {
        context.out << value;
      }
    }
    context.out << "  " << options.texts[i] << "\n";
  }
  return kExitOk;
}

}  // namespace

void register_embed(CLI::App& app, CommandContext& context) {
  CLI::App* sub = app.add_subcommand("embed", "Vectors and cosine matrix of texts");
  auto options = std::make_shared<EmbedOptions>();
  sub->add_option("--model", options->model, "encoder: lexical")->capture_default_str();
  sub->add_option("TEXT", options->texts, "texts to embed")->required();
  sub->add_flag("--json", options->json, "print one JSON object with unit vectors and cosines");
  set_action(*sub, context, options, run_embed);
}

}  // namespace swarm::cli
