// swarm generate — one or many replies of a model, without any agent.
#include <CLI/CLI.hpp>
#include <charconv>
#include <sstream>

#include "engine/base/json.h"
#include "orchestrator/cli/chat_input.h"
#include "orchestrator/cli/checks.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/engine_options.h"
#include "orchestrator/cli/generation_batch.h"
#include "orchestrator/cli/interrupt.h"
#include "orchestrator/cli/utf8_text.h"

namespace swarm::cli {
namespace {

using engine::ChatPrompt;
using engine::Finish;

struct GenerateOptions {
  engine::EngineConfig engine;
  engine::SamplingParams sampling;
  std::string prompt, messages, prompts;     // exactly one is given
  std::string json_schema, tools;            // files
  std::string tool_choice = "auto";
  std::string think;                         // "", on, off, N
  int32_t max_tokens = 256;
  int32_t count = 1;
  bool raw = false;
  bool json = false;
};

struct Thinking {
  std::optional<bool> enabled;
  int32_t tokens_max = -1;
};

Result<Thinking> read_think(const std::string& text) {
  if (text.empty()) return Thinking{};
  if (text == "on") return Thinking{.enabled = true};
  if (text == "off") return Thinking{.enabled = false};
  Thinking thinking{.enabled = true};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, thinking.tokens_max);
  if (error != std::errc() || stop != end || thinking.tokens_max < 0)
    return invalid_input("--think: expected on, off or a number of tokens, found \"" + text +
                         "\"");
  return thinking;
}

Result<void> read_tool_choice(const std::string& text, engine::TurnRules& rules) {
  using engine::grammar::ToolChoice;
  if (text == "auto") {
    rules.tool_choice = ToolChoice::automatic;
  } else if (text == "none") {
    rules.tool_choice = ToolChoice::none;
  } else if (text == "required") {
    rules.tool_choice = ToolChoice::required;
  } else {
    rules.tool_choice = ToolChoice::named;
    rules.named_tool = text;
  }
  return {};
}

Result<engine::TurnRules> read_rules(const GenerateOptions& options, const Thinking& thinking,
                                     CommandContext& context) {
  engine::TurnRules rules{.enable_thinking = thinking.enabled};
  SWARM_TRY_VOID(read_tool_choice(options.tool_choice, rules));
  if (!options.tools.empty()) {
    SWARM_TRY(const std::string text, read_text(options.tools, context.in));
    SWARM_TRY(rules.tools, parse_tools(text, options.tools));
  }
  if (!options.json_schema.empty()) {
    SWARM_TRY(const std::string text, read_text(options.json_schema, context.in));
    SWARM_TRY(rules.output_schema, parse_json(text, options.json_schema));
  }
  return rules;
}

// The conversations to answer, in order.
Result<std::vector<std::vector<engine::ChatMessage>>> read_chats(const GenerateOptions& options,
                                                                 CommandContext& context) {
  std::vector<std::vector<engine::ChatMessage>> chats;
  if (!options.messages.empty()) {
    SWARM_TRY(const std::string text, read_text(options.messages, context.in));
    SWARM_TRY(auto messages, parse_messages(text, options.messages));
    chats.push_back(std::move(messages));
  } else if (!options.prompts.empty()) {
    SWARM_TRY(const std::string text, read_utf8(options.prompts, context.in));
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);) {
      if (line.ends_with('\r')) line.pop_back();
      chats.push_back({{.role = "user", .content = line}});
    }
    if (chats.empty())
      return invalid_input(options.prompts + ": expected one prompt per line, found none");
  } else {
    chats.push_back({{.role = "user", .content = options.prompt}});
  }
  return chats;
}

Result<std::vector<engine::TokenId>> tokens_of(const GenerateOptions& options,
                                               const engine::ChatCodec& codec,
                                               const ChatPrompt& chat) {
  if (!options.raw && codec.has_template()) return codec.prompt(chat);
  if (!options.messages.empty()) return codec.prompt(chat);   // the error
  return codec.tokenize(chat.messages.back().content, false);
}

// What was asked for and would change nothing is an error.
Result<void> check_think(const GenerateOptions& options, const engine::ChatCodec& codec,
                         const Thinking& thinking) {
  if (options.raw && !options.think.empty() && thinking.tokens_max < 0)
    return invalid_input("--think: on and off are for the chat template, which --raw leaves out");
  if (options.raw || thinking.enabled != true) return {};
  if (const auto able = codec.check_thinking(); !able)
    return invalid_input("--think: " + able.error().message);
  return {};
}

// The grammar calls the schema "output_schema"; people gave it as a file.
Error in_file(Error error, const GenerateOptions& options) {
  constexpr std::string_view kSchema = "output_schema";
  if (!error.message.starts_with(kSchema)) return in_flags(std::move(error));
  error.message.erase(0, kSchema.size());
  error.location.file = options.json_schema;
  return error;
}

Result<std::vector<GenerationEntry>> make_entries(const GenerateOptions& options,
                                                  const engine::ChatCodec& codec,
                                                  CommandContext& context) {
  SWARM_TRY(const Thinking thinking, read_think(options.think));
  SWARM_TRY_VOID(check_think(options, codec, thinking));
  SWARM_TRY(const engine::TurnRules rules, read_rules(options, thinking, context));
  const auto compiled = codec.compile(rules);
  if (!compiled) return in_file(compiled.error(), options);
  const auto& grammar = *compiled;
  SWARM_TRY(const auto chats, read_chats(options, context));
  std::vector<GenerationEntry> entries;
  for (const auto& messages : chats) {
    const ChatPrompt chat{.messages = messages, .tools = rules.tools,
                          .enable_thinking = thinking.enabled};
    SWARM_TRY(const std::vector<engine::TokenId> tokens, tokens_of(options, codec, chat));
    for (int32_t i = 0; i < options.count; ++i) {
      engine::Request request{.prompt = tokens,
                              .sampling = options.sampling,
                              .grammar = grammar,
                              .stop_tokens = {codec.stop_tokens().begin(),
                                              codec.stop_tokens().end()},
                              .max_tokens = options.max_tokens,
                              .think_tokens_max = thinking.tokens_max};
      request.sampling.seed = options.sampling.seed + entries.size();
      entries.push_back({.request = std::move(request),
                         .reader = codec.reader(rules.tools, rules.enable_thinking)});
    }
  }
  return entries;
}

double milliseconds(std::chrono::nanoseconds duration) {
  return static_cast<double>(duration.count()) / 1e6;
}

Json to_json(const GenerationEntry& entry) {
  const engine::Report& report = entry.report;
  Json out{{"text", entry.reply.content}, {"tool_calls", calls_json(entry.reply.tool_calls)},
           {"finish", std::string(to_string(entry.finish))}};
  if (!entry.reply.reasoning.empty()) out["reasoning"] = entry.reply.reasoning;
  if (!entry.reply.malformed_calls.empty()) out["malformed_calls"] = entry.reply.malformed_calls;
  if (!entry.error.empty()) out["error"] = entry.error;
  out["usage"] = {{"prompt_tokens", report.prompt_tokens},
                  {"cached_tokens", report.cached_tokens},
                  {"computed_tokens", report.computed_tokens},
                  {"output_tokens", report.output_tokens},
                  {"forced_tokens", report.forced_tokens},
                  {"closing_tokens", report.closing_tokens},
                  {"preemptions", report.preemptions}};
  out["timings"] = {{"queue_ms", milliseconds(report.queue)},
                    {"prefill_ms", milliseconds(report.prefill)},
                    {"decode_ms", milliseconds(report.decode)},
                    {"batch_max", report.batch_max},
                    {"batch_mean", report.batch_mean}};
  return out;
}

void print_text(const GenerationEntry& entry, std::ostream& out) {
  out << entry.reply.content << "\n";
  for (const Json& call : calls_json(entry.reply.tool_calls))
    out << dump_json_spaced(call) << "\n";
}

// Results appear in input order, each as soon as all before it have ended.
class Printer {
 public:
  Printer(const GenerateOptions& options, std::vector<GenerationEntry>& entries,
          CommandContext& context)
      : options_(options), entries_(entries), context_(context),
        streams_(!options.json && entries.size() == 1) {}

  void delta(const engine::ChatDelta& part) {
    if (!streams_) return;
    context_.out << part.content << std::flush;
    written_ += part.content.size();
  }

  void flush() {
    for (; next_ < entries_.size() && entries_[next_].finish != Finish::none; ++next_) {
      GenerationEntry& entry = entries_[next_];
      if (options_.json) {
        context_.out << dump_json(to_json(entry)) << "\n";
      } else {
        if (streams_) entry.reply.content.erase(0, written_);
        if (entries_.size() > 1) context_.out << "[" << next_ + 1 << "] ";
        print_text(entry, context_.out);
        if (!entry.error.empty()) context_.err << "error: " << entry.error << "\n";
      }
      context_.out.flush();
    }
  }

 private:
  const GenerateOptions& options_;
  std::vector<GenerationEntry>& entries_;
  CommandContext& context_;
  bool streams_;
  size_t written_ = 0;
  size_t next_ = 0;
};

Result<int> run_generate(const GenerateOptions& options, CommandContext& context) {
  if (options.raw && !options.messages.empty())
    return invalid_input("--raw: expected --prompt or --prompts, found --messages: without a chat "
                         "template there is no way to write several messages");
  if (const auto valid = options.sampling.validate(); !valid) return in_flags(valid.error());
  SWARM_TRY(const auto engine, open_engine(options.engine, context));
  SWARM_TRY(const auto codec, engine->chat());
  SWARM_TRY(std::vector<GenerationEntry> entries, make_entries(options, *codec, context));
  Interrupt interrupt;
  Printer printer(options, entries, context);
  const Result<void> ran = run_generation(
      *engine, entries,
      {.interrupted = [&] { return interrupt.raised(); },
       .on_delta = [&](size_t, const engine::ChatDelta& delta) { printer.delta(delta); },
       .on_end = [&](size_t) { printer.flush(); }});
  if (!ran) return in_flags(ran.error());
  printer.flush();
  if (interrupt.raised()) return kExitInterrupted;
  for (const GenerationEntry& entry : entries)
    if (entry.finish == Finish::failed) return exit_code(entry.error_kind);
  return kExitOk;
}

void add_sampling_options(CLI::App& sub, engine::SamplingParams& sampling) {
  sub.add_option("--temperature", sampling.temperature, "0 = greedy")->capture_default_str();
  sub.add_option("--top-k", sampling.top_k, "0 = off")->capture_default_str();
  sub.add_option("--top-p", sampling.top_p, "1 = off")->capture_default_str();
  sub.add_option("--min-p", sampling.min_p, "0 = off")->capture_default_str();
  sub.add_option("--presence-penalty", sampling.presence_penalty)->capture_default_str();
  sub.add_option("--frequency-penalty", sampling.frequency_penalty)->capture_default_str();
  sub.add_option("--repeat-penalty", sampling.repeat_penalty)->capture_default_str();
  expect_seed(sub.add_option("--seed", sampling.seed,
                             "of the first reply; the next one has seed + 1"))
      ->capture_default_str();
}

}  // namespace

void register_generate(CLI::App& app, CommandContext& context) {
  CLI::App* sub = app.add_subcommand("generate", "Replies of a model to prompts or messages");
  auto options = std::make_shared<GenerateOptions>();
  add_engine_options(*sub, options->engine);
  CLI::Option_group* source = sub->add_option_group("what to answer");
  source->add_option("--prompt", options->prompt, "a user message")->type_name("TEXT");
  source->add_option("--messages", options->messages, "JSON file with messages, or -")
      ->type_name("FILE");
  source->add_option("--prompts", options->prompts, "file with one prompt per line, or -")
      ->type_name("FILE");
  source->require_option(1);
  add_sampling_options(*sub, options->sampling);
  expect_whole(sub->add_option("--max-tokens", options->max_tokens, "new tokens at most"), 1,
               1 << 24)
      ->capture_default_str();
  expect_whole(sub->add_option("--count", options->count, "replies per prompt"), 1, 1 << 20)
      ->capture_default_str();
  sub->add_option("--json-schema", options->json_schema, "the reply is JSON valid against it")
      ->type_name("FILE");
  sub->add_option("--tools", options->tools, "JSON file with tools")->type_name("FILE");
  sub->add_option("--tool-choice", options->tool_choice, "auto, none, required or a tool's name")
      ->capture_default_str();
  sub->add_option("--think", options->think, "on, off or a number of tokens at most");
  sub->add_flag("--raw", options->raw, "the prompt as it is, without chat template");
  sub->add_flag("--json", options->json, "print one JSON object per reply");
  set_action(*sub, context, options, run_generate);
}

}  // namespace swarm::cli
