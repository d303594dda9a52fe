// swarm tokenize — text to token ids and back, with the tokenizer of a model file.
#include <CLI/CLI.hpp>
#include <charconv>

#include "engine/base/json.h"
#include "engine/base/utf8.h"
#include "engine/model/model_source.h"
#include "engine/text/normalize.h"
#include "engine/text/tokenizer.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/token_counter.h"

namespace swarm::cli {
namespace {

using engine::TokenId;
using engine::text::Tokenizer;

struct TokenizeOptions {
  std::string model;
  std::string text;
  bool decode = false;
  bool parse_control = false;
  bool lines = false;
  bool nfc = false;
  bool json = false;
};

// "1 2 3", "1,2,3", "[1, 2, 3]" or what this command prints.
Result<std::vector<TokenId>> parse_ids(std::string_view text, const Tokenizer& tokenizer) {
  std::vector<TokenId> ids;
  constexpr std::string_view separators = " \t\r\n,[]{}:\"";
  if (const size_t name = text.find("\"ids\""); name != std::string_view::npos)
    text.remove_prefix(name + 5);
  for (;;) {
    const size_t begin = text.find_first_not_of(separators);
    if (begin == std::string_view::npos) return ids;
    text.remove_prefix(begin);
    const std::string_view word = text.substr(0, text.find_first_of(separators));
    TokenId id = -1;
    const auto end = std::from_chars(word.data(), word.data() + word.size(), id);
    if (end.ec != std::errc{} || end.ptr != word.data() + word.size() || !tokenizer.is_valid(id))
      return invalid_input("expected token ids from 0 to " +
                           std::to_string(tokenizer.size() - 1) + ", found \"" +
                           std::string(word) + "\"");
    ids.push_back(id);
    text.remove_prefix(word.size());
  }
}

Result<void> convert(const TokenizeOptions& options, const Tokenizer& tokenizer,
                     std::string_view text, std::ostream& out) {
  if (!options.decode) {
    const std::string normalized = options.nfc ? engine::text::normalize_nfc(text) : "";
    if (options.nfc) text = normalized;
    const std::vector<TokenId> ids =
        options.parse_control ? tokenizer.encode_with_specials(text) : tokenizer.encode(text);
    out << dump_json(Json{{"ids", ids}}) << "\n";
    return {};
  }
  SWARM_TRY(const std::vector<TokenId> ids, parse_ids(text, tokenizer));
  const std::string decoded = tokenizer.decode(ids);
  // Raw bytes only where they are the whole output: a line of --lines must stay one line.
  if (options.json || options.lines) {
    out << dump_json(Json{{"text", utf8_sanitize(decoded)}}) << "\n";
  } else {
    out << decoded;
  }
  return {};
}

Result<int> run_tokenize(const TokenizeOptions& options, CommandContext& context) {
  SWARM_TRY(const auto file, engine::model::open_model_shapes(options.model));
  SWARM_TRY(const auto tokenizer, Tokenizer::from_gguf(*file));
  std::string text = options.text;
  if (text == "-") {
    SWARM_TRY(text, read_text(text, context.in));
  }
  if (!options.lines) {
    SWARM_TRY_VOID(convert(options, *tokenizer, text, context.out));
    return kExitOk;
  }
  std::string_view rest = text;
  for (int number = 1; !rest.empty(); ++number) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    const Result<void> converted = convert(options, *tokenizer, line, context.out);
    if (!converted) {
      Error error = converted.error();
      error.location = {.file = options.text == "-" ? "stdin" : "TEXT", .line = number};
      return error;
    }
  }
  return kExitOk;
}

}  // namespace

agents::TokenCounter open_token_counter(const std::string& model) {
  const auto file = engine::model::open_model_shapes(model);
  if (!file) return {};
  const auto tokenizer = Tokenizer::from_gguf(**file);
  if (!tokenizer) return {};
  return [tokenizer = *tokenizer](std::string_view text) -> std::optional<size_t> {
    return tokenizer->encode(text).size();
  };
}

void register_tokenize(CLI::App& app, CommandContext& context) {
  CLI::App* sub = app.add_subcommand("tokenize", "Text to token ids and back");
  auto options = std::make_shared<TokenizeOptions>();
  sub->add_option("--model", options->model, "a GGUF file or synth:PRESET")->required();
  sub->add_option("TEXT", options->text, "the text, or - for stdin (the default)")
      ->default_str("-");
  options->text = "-";
  sub->add_flag("--decode", options->decode, "ids to text; ids with blanks or commas between");
  sub->add_flag("--parse-control", options->parse_control,
                "control tokens written in the text become one token each");
  sub->add_flag("--nfc", options->nfc,
                "compose characters first (Unicode NFC), as Hugging Face tokenizers of Qwen do");
  sub->add_flag("--lines", options->lines, "one result per line of the text");
  sub->add_flag("--json", options->json, "print decoded text as JSON (ids always are)");
  set_action(*sub, context, options, run_tokenize);
}

}  // namespace swarm::cli
