// swarm model fit — what opening a model would take on a device, and whether it is there: weights,
// KV, activations, total, and what would fit. Exit code 3, as opening it would give, when it does
// not fit.
#include "orchestrator/cli/model_fit.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <iomanip>

#include "engine/base/json.h"
#include "engine/base/units.h"
#include "engine/fit.h"
#include "orchestrator/cli/engine_options.h"

namespace swarm::cli {
namespace {

using engine::Fit;

struct FitOptions {
  engine::FitRequest request;
  int32_t residents = 1;
  bool json = false;
};

Json to_json(const FitOptions& options, const Fit& fit) {
  const auto& config = options.request.config;
  return {{"model", config.model},
          {"device", fit.device},
          {"context", fit.context},
          {"max_resident", fit.residents},
          {"k_type", config.k_type},
          {"v_type", config.v_type},
          {"weight_bytes", fit.weight_bytes},
          {"kv_bytes", fit.kv_bytes},
          {"activation_bytes", fit.activation_bytes},
          {"total_bytes", fit.total_bytes},
          {"reserve_bytes", fit.reserve_bytes},
          {"free_bytes", fit.free_bytes},
          {"memory_bytes", fit.memory_bytes},
          {"fits", fit.fits},
          {"largest_context", fit.largest_context},
          {"most_residents", fit.most_residents}};
}

void print(const FitOptions& options, const Fit& fit, std::ostream& out) {
  const auto& config = options.request.config;
  const auto line = [&](const char* label) -> std::ostream& {
    return out << std::left << std::setw(13) << label << std::right;
  };
  const auto bytes = [&](const char* label, uint64_t count) -> std::ostream& {
    return line(label) << std::setw(10) << format_bytes(count);
  };
  line("model") << config.model << "\n";
  line("device") << fit.device << ", " << format_bytes(fit.free_bytes) << " free of "
                 << format_bytes(fit.memory_bytes) << "\n";
  bytes("weights", fit.weight_bytes) << "\n";
  bytes("kv", fit.kv_bytes) << "  " << fit.residents << " x " << fit.context << " tokens of "
                            << config.k_type << "/" << config.v_type << "\n";
  bytes("activations", fit.activation_bytes) << "  steps of " << config.prefill_batch_tokens
                                             << " tokens\n";
  bytes("total", fit.total_bytes) << "\n";
  if (fit.reserve_bytes > 0) bytes("reserve", fit.reserve_bytes) << "  for the driver\n";
  const uint64_t needed = fit.total_bytes + fit.reserve_bytes;
  if (fit.fits) {
    bytes("fits", fit.free_bytes - needed) << " left\n";
  } else {
    bytes("does not fit", needed - fit.free_bytes) << " too much\n";
  }
  if (fit.largest_context == 0) {
    line("would fit") << "no context of any length with " << fit.residents << " resident\n";
    return;
  }
  line("would fit") << fit.residents << " x " << fit.largest_context << " tokens, or "
                    << fit.most_residents << " x " << fit.context << "\n";
}

Result<int> run_fit(const FitOptions& options, CommandContext& context) {
  FitOptions chosen = options;
  auto& config = chosen.request.config;
  config.max_resident = options.residents;
  config.max_running = std::min(config.max_running, options.residents);
  SWARM_TRY(const Fit fit, engine::fit(chosen.request, context.accelerator));
  if (options.json) {
    context.out << dump_json(to_json(chosen, fit)) << "\n";
  } else {
    print(chosen, fit, context.out);
  }
  return fit.fits ? kExitOk : kExitEnvironment;
}

}  // namespace

void register_model_fit(CLI::App& model, CommandContext& context) {
  CLI::App* sub = model.add_subcommand("fit", "Does it fit into the memory of a device");
  auto options = std::make_shared<FitOptions>();
  auto& config = options->request.config;
  sub->add_option("MODEL", config.model, "GGUF file or synth:PRESET[:TYPE[:LAYERS]]")->required();
  sub->add_option("--device", config.device, "auto, cpu or cuda:N")->capture_default_str();
  sub->add_option_function<std::string>(
         "--memory",
         [raw = options.get()](const std::string& text) {
           const auto bytes = parse_bytes(text);
           if (!bytes) throw CLI::ValidationError("--memory", bytes.error().message);
           raw->request.memory_bytes = *bytes;
         },
         "of a CUDA device that is not here, such as 24GiB (with --device cpu: of a machine)")
      ->type_name("BYTES");
  sub->add_option("--context,--ctx", config.context_max, "tokens, 0 = the model's own")
      ->capture_default_str();
  sub->add_option_function<std::string>(
         "--kv",
         [&config](const std::string& types) {
           const KvTypeNames names = split_kv_types(types);
           config.k_type = names.k;
           config.v_type = names.v;
         },
         "KV cache type f32, f16, bf16, q8_0 or q4_0; or K and V apart: q8_0/q4_0 (default: f16)")
      ->type_name("TYPE");
  sub->add_option("--max-resident", options->residents, "contexts kept at a time")
      ->check(CLI::Range(1, 1 << 16))
      ->capture_default_str();
  sub->add_option("--batch-tokens", config.prefill_batch_tokens, "tokens of one step")
      ->capture_default_str();
  sub->add_option("--page-tokens", config.page_tokens, "tokens of one KV page")
      ->capture_default_str();
  sub->add_flag("--json", options->json, "print one JSON object");
  set_action(*sub, context, options, run_fit);
}

}  // namespace swarm::cli
