// swarm bench — tokens per second of one model on this machine, engine included: prompts (pp),
// one reply (tg), several replies at once (batch). Random tokens, nothing from the cache unless
// --shared-prefix asks for it; each case is run --repetitions times and the median is printed.
#include <CLI/CLI.hpp>
#include <algorithm>
#include <iomanip>
#include <set>

#include "engine/base/json.h"
#include "engine/base/rng.h"
#include "engine/base/units.h"
#include "engine/engine.h"
#include "orchestrator/cli/checks.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/engine_options.h"
#include "orchestrator/cli/interrupt.h"

namespace swarm::cli {
namespace {

using engine::Engine;
using engine::TokenId;

constexpr int32_t kTokensMax = 1 << 24;

struct BenchOptions {
  engine::EngineConfig engine;
  std::vector<int32_t> prompt_tokens{512};
  std::vector<int32_t> new_tokens{128};
  std::vector<int32_t> batches;
  int32_t depth = 0;
  int32_t shared_prefix = 0;
  int32_t repetitions = 3;
  bool json = false;
};

class Bench {
 public:
  Bench(Engine& engine, const Clock& clock, const BenchOptions& options, Interrupt& interrupt)
      : engine_(engine), clock_(clock), options_(options), interrupt_(interrupt) {}

  // Prompt tokens per second: one prompt, nothing known of it, no token produced.
  Result<double> prompt(int32_t tokens) {
    engine::Request request{.prompt = random_tokens(tokens), .prefill_only = true};
    request.hints.drop = true;
    const TimePoint begin = clock_.now();
    SWARM_TRY_VOID(engine_.submit(std::move(request)));
    while (!engine_.idle()) {
      if (interrupt_.raised()) return interrupted();
      for (const engine::Output& output : engine_.step())
        if (output.finish == engine::Finish::failed) return Error{output.error_kind, output.error};
    }
    return per_second(tokens, begin);
  }

  // New tokens per second of all sequences together, from the step after each had its first one.
  Result<double> decode(int32_t sequences, int32_t tokens) {
    const std::vector<TokenId> shared = random_tokens(options_.shared_prefix);
    std::set<engine::RequestId> waiting;
    for (int32_t i = 0; i < sequences; ++i) {
      // Room for the steps in which others still read their prompts; cancelled when done.
      engine::Request request{.prompt = shared,
                              .max_tokens = tokens + 1 + prefill_steps(sequences)};
      for (const TokenId token : random_tokens(std::max(1, options_.depth)))
        request.prompt.push_back(token);
      request.hints.drop = true;
      SWARM_TRY(const engine::RequestId id, engine_.submit(std::move(request)));
      waiting.insert(id);
    }
    const std::set<engine::RequestId> all = waiting;
    while (!waiting.empty()) {
      if (interrupt_.raised()) return interrupted();
      for (const engine::Output& output : engine_.step()) {
        if (output.finish != engine::Finish::none) return ended_early(output);
        waiting.erase(output.id);
      }
    }
    const TimePoint begin = clock_.now();
    int64_t produced = 0;
    for (int32_t step = 0; step < tokens; ++step) {
      if (interrupt_.raised()) return interrupted();
      produced += std::ssize(engine_.step());
    }
    const double rate = per_second(produced, begin);
    for (const engine::RequestId id : all) engine_.cancel(id);
    while (!engine_.idle()) engine_.step();
    if (produced != int64_t{sequences} * tokens)
      return failed("expected " + std::to_string(int64_t{sequences} * tokens) +
                    " tokens in this case, found " + std::to_string(produced) +
                    "; give it more room with --kv-bytes or --max-running, or ask for less with "
                    "-b, -n or --depth");
    return rate;
  }

 private:
  std::vector<TokenId> random_tokens(int32_t count) {
    std::vector<TokenId> tokens(static_cast<size_t>(count));
    const auto vocab = static_cast<uint64_t>(engine_.info().vocab);
    for (TokenId& token : tokens) token = static_cast<TokenId>(rng_.below(vocab));
    return tokens;
  }

  int32_t prefill_steps(int32_t sequences) const {
    const int64_t tokens = options_.shared_prefix +
                           int64_t{sequences} * std::max(1, options_.depth);
    return static_cast<int32_t>(tokens / options_.engine.prefill_batch_tokens) + 2 + sequences;
  }

  static Error interrupted() { return Error{ErrorKind::cancelled, "interrupted"}; }

  static Error ended_early(const engine::Output& output) {
    constexpr std::string_view kEarly = "a sequence ended before it was measured: ";
    if (output.finish == engine::Finish::failed)
      return Error{output.error_kind, std::string(kEarly) + output.error};
    return failed(std::string(kEarly) + "there was no room for all of them at once; give it more "
                  "with --kv-bytes, or ask for less with -b, -n or --depth");
  }

  double per_second(int64_t tokens, TimePoint begin) const {
    const std::chrono::duration<double> elapsed = clock_.now() - begin;
    return static_cast<double>(tokens) / elapsed.count();
  }

  Engine& engine_;
  const Clock& clock_;
  const BenchOptions& options_;
  Interrupt& interrupt_;
  Rng rng_{1};
};

struct Case {
  std::string name;
  std::function<Result<double>(Bench&)> run;
};

// What would measure nothing is an error.
Result<void> check_measures(const BenchOptions& options) {
  const auto some = [](const std::vector<int32_t>& counts) {
    return std::any_of(counts.begin(), counts.end(), [](int32_t count) { return count > 0; });
  };
  if (!options.batches.empty() && !some(options.new_tokens))
    return invalid_input("-b: expected new tokens to measure with -n, found 0");
  if (some(options.prompt_tokens) || some(options.new_tokens)) return {};
  return invalid_input("expected something to measure, found -p 0 and -n 0");
}

// Of every case, before the first one takes its time.
Result<void> check_context(const BenchOptions& options, int64_t context) {
  const auto beyond = [&](const std::string& what, int64_t tokens) {
    return invalid_input(what + ": expected at most " + std::to_string(context) +
                         " tokens (the context of the model, or --ctx), found " +
                         std::to_string(tokens));
  };
  for (const int32_t tokens : options.prompt_tokens)
    if (tokens > context) return beyond("-p", tokens);
  const int64_t prompt = int64_t{options.shared_prefix} + std::max(1, options.depth);
  for (const int32_t tokens : options.new_tokens)   // and the one that ends the prompt's step
    if (tokens > 0 && prompt + tokens + 1 > context)
      return beyond("prompt and new tokens (--shared-prefix, --depth and -n)", prompt + tokens + 1);
  return {};
}

std::vector<Case> make_cases(const BenchOptions& options) {
  std::vector<Case> cases;
  const auto measured = std::count_if(options.new_tokens.begin(), options.new_tokens.end(),
                                      [](int32_t tokens) { return tokens > 0; });
  for (const int32_t tokens : options.prompt_tokens)
    if (tokens > 0)
      cases.push_back({"pp" + std::to_string(tokens),
                       [=](Bench& bench) { return bench.prompt(tokens); }});
  for (const int32_t tokens : options.new_tokens) {
    if (tokens <= 0) continue;
    cases.push_back({"tg" + std::to_string(tokens),
                     [=](Bench& bench) { return bench.decode(1, tokens); }});
    const std::string suffix = measured > 1 ? "/tg" + std::to_string(tokens) : "";
    for (const int32_t batch : options.batches)
      cases.push_back({"batch" + std::to_string(batch) + suffix,
                       [=](Bench& bench) { return bench.decode(batch, tokens); }});
  }
  return cases;
}

void print_case(const BenchOptions& options, const engine::ModelInfo& info, const std::string& name,
                std::vector<double> rates, CommandContext& context) {
  std::sort(rates.begin(), rates.end());
  const double median = rates[rates.size() / 2];
  if (options.json) {
    context.out << dump_json({{"test", name},
                              {"tokens_per_second", median},
                              {"bytes_per_token", info.bytes_per_token},
                              {"device", info.device},
                              {"load_ms", std::chrono::duration_cast<std::chrono::milliseconds>(
                                              info.load).count()},
                              {"model", info.name},
                              {"depth", options.depth},
                              {"shared_prefix", options.shared_prefix},
                              {"tokens_per_second_min", rates.front()},
                              {"tokens_per_second_max", rates.back()},
                              {"repetitions", rates.size()}})
                << std::endl;
    return;
  }
  context.out << std::left << std::setw(14) << name << std::right << std::fixed
              << std::setprecision(1) << std::setw(10) << median << " tokens/s  (" << rates.front()
              << " to " << rates.back() << ")" << std::endl;
}

// Weights that the CPU uses where they lie are claimed nowhere, and would be missed in the table.
void print_opened(const BenchOptions& options, const engine::ModelInfo& info, std::ostream& out) {
  const auto load_ms = std::chrono::duration_cast<std::chrono::milliseconds>(info.load).count();
  out << info.name << " on " << info.device << ", opened in " << load_ms << " ms\n" << info.memory;
  if (!info.device.starts_with("cpu")) return;
  const bool made = options.engine.model.starts_with("synth:");
  out << "weights not claimed above " << (made ? "stay where they were made"
                                               : "are mapped from the file")
      << ": the model has " << format_bytes(info.weight_bytes) << "\n";
}

Result<int> run_bench(const BenchOptions& given, CommandContext& context) {
  SWARM_TRY_VOID(check_measures(given));
  BenchOptions options = given;
  const auto most = std::max_element(options.batches.begin(), options.batches.end());
  if (most != options.batches.end()) {
    options.engine.max_running = std::max(options.engine.max_running, *most);
    options.engine.max_resident =
        std::max(options.engine.max_resident, options.engine.max_running);
  }
  SWARM_TRY(const auto engine, open_engine(options.engine, context));
  const engine::ModelInfo& info = engine->info();
  SWARM_TRY_VOID(check_context(options, info.context));
  if (!options.json) print_opened(options, info, context.out);
  Interrupt interrupt;
  Bench bench(*engine, context.clock, options, interrupt);
  for (const Case& one : make_cases(options)) {
    std::vector<double> rates;
    for (int32_t i = 0; i <= options.repetitions; ++i) {
      const Result<double> rate = one.run(bench);
      if (!rate) return in_flags(rate.error());
      if (i > 0) rates.push_back(*rate);   // the first run warms up
    }
    print_case(options, engine->info(), one.name, std::move(rates), context);
  }
  return kExitOk;
}

}  // namespace

void register_bench(CLI::App& app, CommandContext& context) {
  CLI::App* sub = app.add_subcommand("bench", "Tokens per second of a model on this machine");
  auto options = std::make_shared<BenchOptions>();
  add_engine_options(*sub, options->engine);
  expect_whole(sub->add_option("-p", options->prompt_tokens, "prompt lengths, 0 = none"), 0,
               kTokensMax)
      ->delimiter(',')
      ->capture_default_str();
  expect_whole(sub->add_option("-n", options->new_tokens, "new tokens per sequence, 0 = none"), 0,
               kTokensMax)
      ->delimiter(',')
      ->capture_default_str();
  expect_whole(sub->add_option("-b", options->batches, "sequences at once, such as 1,8,32"), 1,
               4096)
      ->delimiter(',');
  expect_whole(sub->add_option("--depth", options->depth, "tokens of its own before each sequence"),
               0, kTokensMax)
      ->capture_default_str();
  expect_whole(sub->add_option("--shared-prefix", options->shared_prefix,
                               "tokens all sequences share"),
               0, kTokensMax)
      ->capture_default_str();
  expect_whole(sub->add_option("--repetitions", options->repetitions,
                               "runs per case; the median counts"),
               1, 10000)
      ->capture_default_str();
  sub->add_flag("--json", options->json, "print one JSON object per case");
  set_action(*sub, context, options, run_bench);
}

}  // namespace swarm::cli
