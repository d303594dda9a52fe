// swarm model — what is in a model and what it costs (info); whether it fits (fit, in
// model_fit.cpp); random weights of a named shape (synth).
#include <CLI/CLI.hpp>
#include <filesystem>
#include <iomanip>
#include <sstream>

#include "engine/base/json.h"
#include "engine/base/units.h"
#include "engine/model/model_info.h"
#include "engine/model/model_source.h"
#include "orchestrator/cli/checks.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/interrupt.h"
#include "orchestrator/cli/model_fit.h"

namespace swarm::cli {
namespace {

using engine::formats::GgufFile;
using engine::formats::TensorView;
using engine::model::ModelInfo;

struct InfoOptions {
  std::string model;
  bool tensors = false;
  bool json = false;
  uint64_t context = 0;   // 0 = what the model was made for
};

struct SynthOptions {
  std::string out;
  engine::model::SynthSpec spec;
  bool json = false;
};

constexpr int64_t kContextMax = int64_t{1} << 32;

std::string_view type_name(const TensorView& tensor) {
  return engine::formats::find_block_type(tensor.type)->name;
}

std::string dims_text(const TensorView& tensor) {
  std::string text;
  for (const uint64_t dim : tensor.dims)
    text += (text.empty() ? "" : " x ") + std::to_string(dim);
  return text;
}

// "30.53 B", "6.0 M": counts for people.
std::string count_text(uint64_t count) {
  std::ostringstream out;
  const auto value = static_cast<double>(count);
  out << std::fixed << std::setprecision(2);
  if (count >= 1'000'000'000) {
    out << value / 1e9 << " B";
  } else if (count >= 1'000'000) {
    out << value / 1e6 << " M";
  } else {
    out << count;
  }
  return out.str();
}

Json shape_json(const engine::model::ModelConfig& c) {
  Json shape = {{"layers", c.layers},     {"hidden", c.hidden},     {"heads", c.heads},
                {"kv_heads", c.kv_heads}, {"head_dim", c.head_dim}, {"vocab", c.vocab},
                {"context", c.context},   {"rope_theta", c.rope_theta},
                {"tied_head", c.tied_head}};
  if (c.yarn.original_context > 0)
    shape["yarn"] = {{"factor", c.yarn.factor}, {"original_context", c.yarn.original_context}};
  if (c.experts > 0) {
    shape["experts"] = c.experts;
    shape["experts_used"] = c.experts_used;
    shape["expert_ffn"] = c.expert_ffn;
  } else {
    shape["ffn"] = c.ffn;
  }
  return shape;
}

Json info_json(const InfoOptions& options, const ModelInfo& info, uint64_t context,
               const GgufFile& file) {
  const uint64_t kv = context * info.kv_bytes_per_token;
  Json types = Json::array();
  for (const auto& use : info.types)
    types.push_back({{"type", use.name}, {"tensors", use.tensors},
                     {"parameters", use.parameters}, {"bytes", use.bytes}});
  Json out = {{"model", options.model},
              {"architecture", info.config.architecture},
              {"name", info.config.name},
              {"shape", shape_json(info.config)},
              {"parameters", info.parameters},
              {"active_parameters", info.active_parameters},
              {"tensor_count", info.tensors},
              {"types", std::move(types)},
              {"file_bytes", info.file_bytes},
              {"weight_bytes", info.weight_bytes},
              {"bytes_per_token", info.bytes_per_token},
              {"kv_bytes_per_token", info.kv_bytes_per_token},
              {"memory",
               {{"context", context}, {"weight_bytes", info.weight_bytes}, {"kv_bytes", kv},
                {"total_bytes", info.weight_bytes + kv}}}};
  if (!options.tensors) return out;
  Json tensors = Json::array();
  for (const TensorView& tensor : file.tensors())
    tensors.push_back({{"name", tensor.name}, {"type", type_name(tensor)}, {"dims", tensor.dims},
                       {"bytes", tensor.data.size()}});
  out["tensors"] = std::move(tensors);
  return out;
}

void print_info(const InfoOptions& options, const ModelInfo& info, uint64_t context,
                const GgufFile& file, std::ostream& out) {
  const auto& c = info.config;
  const auto line = [&](const char* label) -> std::ostream& {
    return out << std::left << std::setw(14) << label;
  };
  line("model") << options.model << "\n";
  if (!c.name.empty()) line("name") << c.name << "\n";
  line("architecture") << c.architecture << ": " << c.layers << " layers, hidden " << c.hidden
                       << ", " << c.heads << "/" << c.kv_heads << " heads of " << c.head_dim;
  if (c.experts > 0) {
    out << ", " << c.experts_used << " of " << c.experts << " experts of " << c.expert_ffn << "\n";
  } else {
    out << ", ffn " << c.ffn << "\n";
  }
  line("vocabulary") << c.vocab << (c.tied_head ? ", head tied to the embedding" : "") << "\n";
  line("context") << c.context << " tokens, rope theta " << c.rope_theta;
  if (c.yarn.original_context > 0)
    out << ", YaRN " << c.yarn.factor << " times " << c.yarn.original_context;
  out << "\n";
  line("parameters") << count_text(info.parameters) << ", " << count_text(info.active_parameters)
                     << " active per token\n";
  line("tensors") << info.tensors << " in " << format_bytes(info.weight_bytes) << " (file "
                  << format_bytes(info.file_bytes) << ")\n";
  for (const auto& use : info.types)
    line("") << std::setw(8) << use.name << std::right << std::setw(5) << use.tensors
             << " tensors  " << format_bytes(use.bytes) << "\n";
  line("decode") << format_bytes(info.bytes_per_token) << " of weights read per token\n";
  const uint64_t kv = context * info.kv_bytes_per_token;
  line("memory") << format_bytes(info.weight_bytes + kv) << " at " << context
                 << " tokens: weights " << format_bytes(info.weight_bytes) << " + f16 KV "
                 << format_bytes(kv) << " (" << format_bytes(info.kv_bytes_per_token)
                 << " per token)\n";
  if (!options.tensors) return;
  for (const TensorView& tensor : file.tensors())
    out << std::left << std::setw(34) << tensor.name << std::setw(8) << type_name(tensor)
        << std::right << std::setw(11) << format_bytes(tensor.data.size()) << "  "
        << dims_text(tensor) << "\n";
}

Result<int> run_info(const InfoOptions& options, CommandContext& context) {
  SWARM_TRY(const auto file, engine::model::open_model_shapes(options.model));
  SWARM_TRY(const ModelInfo info, engine::model::read_model_info(*file));
  const uint64_t tokens =
      options.context > 0 ? options.context : static_cast<uint64_t>(info.config.context);
  if (options.json) {
    context.out << dump_json(info_json(options, info, tokens, *file)) << "\n";
  } else {
    print_info(options, info, tokens, *file, context.out);
  }
  return kExitOk;
}

Result<int> run_synth(const SynthOptions& options, CommandContext& context) {
  SWARM_TRY(const auto builder, engine::model::build_synthetic(options.spec));
  Interrupt interrupt;
  SWARM_TRY_VOID(builder.write(options.out, [&] { return interrupt.raised(); }));
  const uint64_t bytes = std::filesystem::file_size(options.out);
  if (options.json) {
    context.out << dump_json({{"file", options.out}, {"bytes", bytes}}) << "\n";
  } else {
    context.out << options.out << "  " << format_bytes(bytes) << "\n";
  }
  return kExitOk;
}

void register_info(CLI::App& model, CommandContext& context) {
  CLI::App* sub = model.add_subcommand("info", "Shape, tensors, sizes and what a token costs");
  auto options = std::make_shared<InfoOptions>();
  sub->add_option("MODEL", options->model,
                  "GGUF file (any part of a split one) or synth:PRESET[:TYPE[:LAYERS]]")
      ->required();
  sub->add_flag("--tensors", options->tensors, "list every tensor");
  expect_whole(sub->add_option("--context", options->context,
                               "tokens to count memory for (default: what the model was made for)"),
               1, kContextMax);
  sub->add_flag("--json", options->json, "print one JSON object");
  set_action(*sub, context, options, run_info);
}

void register_synth(CLI::App& model, CommandContext& context) {
  CLI::App* sub = model.add_subcommand("synth", "Write a model with random weights");
  auto options = std::make_shared<SynthOptions>();
  std::string presets;
  for (const std::string& name : engine::model::synth_presets())
    presets += (presets.empty() ? "" : ", ") + name;
  sub->add_option("OUT", options->out, "the GGUF file to write")->required();
  sub->add_option("--preset", options->spec.preset, "shape: " + presets)->required();
  expect_whole(sub->add_option("--layers", options->spec.layers,
                               "layers (default: those of the preset)"),
               1, 1024);
  sub->add_option("--type", options->spec.type,
                  "tensor type, or a mix: Q4_K_M, Q5_K_M, IQ2_S_IQ3_S, MXFP4_MOE (default: the "
                  "preset's)");
  expect_seed(sub->add_option("--seed", options->spec.seed, "seed of the weights (default 0)"));
  sub->add_flag("--json", options->json, "print one JSON object");
  set_action(*sub, context, options, run_synth);
}

}  // namespace

void register_model(CLI::App& app, CommandContext& context) {
  CLI::App* model = app.add_subcommand("model", "Look into models, size them, make synthetic ones");
  model->require_subcommand(1);
  register_info(*model, context);
  register_model_fit(*model, context);
  register_synth(*model, context);
}

}  // namespace swarm::cli
