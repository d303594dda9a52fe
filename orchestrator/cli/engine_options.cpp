#include "orchestrator/cli/engine_options.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "engine/base/units.h"
#include "orchestrator/cli/checks.h"

namespace swarm::cli {

KvTypeNames split_kv_types(const std::string& text) {
  const size_t cut = text.find_first_of("/,");
  const std::string k = text.substr(0, cut);
  return {k, cut == std::string::npos ? k : text.substr(cut + 1)};
}

void add_engine_options(CLI::App& app, engine::EngineConfig& config) {
  app.add_option("--model", config.model, "GGUF file or synth:PRESET[:TYPE[:LAYERS]]")
      ->required()
      ->type_name("MODEL");
  app.add_option("--device", config.device, "auto, cpu or cuda:N")->capture_default_str();
  app.add_option("--kernels", config.kernels, "on a device: auto or portable")
      ->capture_default_str();
  app.add_option("--isa", config.isa, "auto, reference, avx2 or avx512")->capture_default_str();
  expect_whole(app.add_option("--threads", config.threads, "0 = one per core"), 0, 1024)
      ->capture_default_str();
  app.add_option_function<std::string>(
         "--kv",
         [&config](const std::string& types) {
           const KvTypeNames names = split_kv_types(types);
           config.k_type = names.k;
           config.v_type = names.v;
         },
         "KV cache type f32, f16, bf16, q8_0 or q4_0; or K and V apart: q8_0/q4_0")
      ->type_name("TYPE");
  app.add_option_function<std::string>(
         "--kv-bytes",
         [&config](const std::string& text) {
           const auto bytes = parse_bytes(text);
           if (!bytes) throw CLI::ValidationError("--kv-bytes", bytes.error().message);
           config.kv_bytes_max = *bytes;
         },
         "largest KV cache, such as 4GiB (default: enough, at most 1GiB on a CPU)")
      ->type_name("BYTES");
  expect_whole(
      app.add_option("--ctx", config.context_max, "context in tokens, 0 = the model's own"), 0,
      INT32_MAX)
      ->capture_default_str();
  expect_whole(app.add_option("--page-tokens", config.page_tokens, "tokens of one KV page"), 1, 256)
      ->capture_default_str();
  expect_whole(app.add_option_function<int32_t>(
                   "--max-running",
                   [&config](int32_t count) {
                     config.max_running = count;
                     config.max_resident = std::max(config.max_resident, count);
                   },
                   "sequences decoded together (default: 16)"),
               1, 4096)
      ->type_name("N");
  expect_whole(app.add_option("--batch-tokens", config.prefill_batch_tokens, "tokens of one step"),
               1, 1 << 16)
      ->capture_default_str();
}

Result<std::unique_ptr<engine::Engine>> open_engine(const engine::EngineConfig& config,
                                                    const CommandContext& context) {
  auto engine = engine::Engine::open(config, context.clock, {}, context.accelerator);
  if (!engine) return in_flags(engine.error());
  return engine;
}

}  // namespace swarm::cli
