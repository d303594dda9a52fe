// swarm logits — tokens in, logits out: for comparing with other engines. Needs no tokenizer.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <cstdint>
#include <vector>

#include "engine/base/json.h"
#include "engine/model/model_source.h"
#include "engine/model/transformer.h"
#include "orchestrator/cli/checks.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/engine_options.h"

namespace swarm::cli {
namespace {

using engine::model::KvType;
using engine::model::LogitsWanted;
using engine::model::Transformer;
using engine::model::TransformerOptions;

struct LogitsOptions {
  std::string model;
  std::vector<std::string> token_lists;      // "1,2,3"
  std::vector<engine::TokenId> tokens = {};  // of all lists
  bool all = false;
  std::string kv = "f16";
  std::string isa = "auto";
  int32_t threads = 0;
  bool json = false;
};

constexpr int32_t kPageTokens = 16;
constexpr int32_t kBatchTokens = 512;

Result<void> check_tokens(const LogitsOptions& options, const engine::model::ModelConfig& config) {
  for (const engine::TokenId token : options.tokens) {
    if (token >= 0 && token < config.vocab) continue;
    return invalid_input("--tokens: expected ids from 0 to " + std::to_string(config.vocab - 1) +
                         ", found " + std::to_string(token));
  }
  if (options.tokens.size() <= static_cast<size_t>(config.context)) return {};
  return invalid_input("--tokens: expected at most " + std::to_string(config.context) +
                       " (the context of the model), found " +
                       std::to_string(options.tokens.size()));
}

Result<std::vector<engine::TokenId>> parse_tokens(const std::vector<std::string>& lists) {
  std::vector<engine::TokenId> out;
  for (const std::string& list : lists) {
    const char *at = list.data(), *const end = at + list.size();
    while (true) {
      engine::TokenId token = -1;
      const auto [stop, error] = std::from_chars(at, end, token);
      if (error != std::errc() || token < 0 || (stop != end && *stop != ','))
        return invalid_input("--tokens: expected token ids such as 1,2,3, found " +
                             dump_json(Json(list)));
      out.push_back(token);
      if (stop == end) break;
      at = stop + 1;
    }
  }
  return out;
}

// One row per position, or only the last.
std::vector<std::vector<float>> compute(Transformer& model, const LogitsOptions& options) {
  std::vector<int32_t> pages((options.tokens.size() + kPageTokens - 1) / kPageTokens);
  for (size_t i = 0; i < pages.size(); ++i) pages[i] = static_cast<int32_t>(i);
  const std::span<const engine::TokenId> tokens = options.tokens;
  std::vector<std::vector<float>> rows;
  for (size_t at = 0; at < tokens.size();) {
    const size_t count = std::min(tokens.size() - at, size_t{kBatchTokens});
    const bool last = at + count == tokens.size();
    const auto wanted = options.all ? LogitsWanted::all
                                    : (last ? LogitsWanted::last : LogitsWanted::none);
    const engine::model::SequenceChunk chunk{.tokens = tokens.subspan(at, count),
                                             .position = static_cast<int32_t>(at),
                                             .pages = pages, .logits = wanted};
    const int32_t count_of_rows = model.forward({&chunk, 1});
    for (int32_t r = 0; r < count_of_rows; ++r) {
      const auto row = model.logits(r);
      rows.emplace_back(row.begin(), row.end());
    }
    at += count;
  }
  return rows;
}

void print(const LogitsOptions& options, const std::vector<std::vector<float>>& rows,
           std::ostream& out) {
  for (size_t i = 0; i < rows.size(); ++i) {
    const size_t position = options.tokens.size() - rows.size() + i;
    const auto best = std::max_element(rows[i].begin(), rows[i].end());
    out << position << ": token " << options.tokens[position] << " -> best "
        << best - rows[i].begin() << " (" << *best << ")\n";
  }
}

Result<KvType> kv_type(const std::string& name) {
  if (const auto found = engine::kernels::kv_type_by_name(name)) return *found;
  return invalid_input("--kv: expected f32, f16, bf16, q8_0 or q4_0, found \"" + name + "\"");
}

Result<int> run_logits(const LogitsOptions& given, CommandContext& context) {
  LogitsOptions options = given;
  SWARM_TRY(options.tokens, parse_tokens(options.token_lists));
  SWARM_TRY(auto file, engine::model::open_model(options.model));
  TransformerOptions model_options;
  const KvTypeNames kv = split_kv_types(options.kv);
  SWARM_TRY(model_options.k_type, kv_type(kv.k));
  SWARM_TRY(model_options.v_type, kv_type(kv.v));
  model_options.page_tokens = kPageTokens;
  model_options.page_count = static_cast<int32_t>(options.tokens.size()) / kPageTokens + 1;
  model_options.batch_tokens_max = kBatchTokens;
  model_options.threads = options.threads;
  model_options.isa = options.isa;
  auto opened = Transformer::open(std::move(file), model_options);
  if (!opened) return in_flags(opened.error());
  const std::unique_ptr<Transformer> model = std::move(*opened);
  SWARM_TRY_VOID(check_tokens(options, model->config()));
  const auto rows = compute(*model, options);
  if (options.json) {
    context.out << dump_json({{"tokens", options.tokens}, {"logits", rows}}) << "\n";
  } else {
    print(options, rows, context.out);
  }
  return kExitOk;
}

}  // namespace

void register_logits(CLI::App& app, CommandContext& context) {
  CLI::App* sub = app.add_subcommand("logits", "From token ids to logits");
  auto options = std::make_shared<LogitsOptions>();
  sub->add_option("--model", options->model, "GGUF file or synth:PRESET[:TYPE[:LAYERS]]")
      ->required();
  sub->add_option("--tokens", options->token_lists, "token ids, separated by commas")
      ->type_name("N,N,..")
      ->required();
  sub->add_flag("--all", options->all, "one row per position, not only the last");
  sub->add_option("--kv", options->kv, "type of K and V in the cache, or apart: q8_0/q4_0")
      ->capture_default_str();
  sub->add_option("--isa", options->isa, "auto, reference, avx2 or avx512")->capture_default_str();
  expect_whole(sub->add_option("--threads", options->threads, "0 = one per core"), 0, 1024)
      ->capture_default_str();
  sub->add_flag("--json", options->json, "print {\"tokens\": [..], \"logits\": [[..]]}");
  set_action(*sub, context, options, run_logits);
}

}  // namespace swarm::cli
