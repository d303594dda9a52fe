// swarm template — the prompt a chat template makes of messages and tools, as it is.
#include <CLI/CLI.hpp>

#include "engine/base/json.h"
#include "engine/model/model_source.h"
#include "engine/text/chat_template.h"
#include "engine/text/tokenizer.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/utf8_text.h"

namespace swarm::cli {
namespace {

using engine::text::ChatTemplate;
using engine::text::MarkedText;
using engine::text::RenderOptions;

struct TemplateOptions {
  std::string model;
  std::string template_file;
  std::string messages;
  std::string tools;
  std::vector<std::string> variables;
  bool no_generation_prompt = false;
  bool json = false;
};

struct Loaded {
  std::shared_ptr<const ChatTemplate> chat_template;
  RenderOptions render;
  std::string source_name;
};

Result<Loaded> load_template(const TemplateOptions& options, CommandContext& context) {
  Loaded out;
  if (options.model.empty()) {
    SWARM_TRY(const std::string source, read_utf8(options.template_file, context.in));
    SWARM_TRY(out.chat_template, ChatTemplate::parse(source, options.template_file));
    return out;
  }
  SWARM_TRY(const auto file, engine::model::open_model_shapes(options.model));
  SWARM_TRY(out.chat_template, ChatTemplate::from_gguf(*file));
  // Templates may print these two; a file without a usable tokenizer still has its template.
  const auto tokenizer = engine::text::Tokenizer::from_gguf(*file);
  if (!tokenizer) return out;
  const auto add = [&](const char* name, std::optional<engine::TokenId> id) {
    if (id) out.render.special_tokens.emplace_back(name, (*tokenizer)->token_bytes(*id));
  };
  add("bos_token", (*tokenizer)->bos());
  add("eos_token", (*tokenizer)->eos());
  return out;
}

Result<Json> read_json(const std::string& path, CommandContext& context) {
  SWARM_TRY(const std::string text, read_text(path, context.in));
  return parse_json(text, path);
}

Result<Json> parse_variables(const std::vector<std::string>& list) {
  Json out = Json::object();
  for (const std::string& one : list) {
    const size_t equals = one.find('=');
    if (equals == 0 || equals == std::string::npos)
      return invalid_input("--var: expected NAME=JSON, found \"" + one + "\"");
    SWARM_TRY(out[one.substr(0, equals)],
              parse_json(std::string_view(one).substr(equals + 1),
                         "--var " + one.substr(0, equals)));
  }
  return out;
}

Result<int> run_template(const TemplateOptions& options, CommandContext& context) {
  if (options.model.empty() == options.template_file.empty())
    return invalid_input("expected either --model or --template");
  SWARM_TRY(Loaded loaded, load_template(options, context));
  SWARM_TRY(Json messages, read_json(options.messages, context));
  Json tools = Json::array();
  if (messages.is_object()) {  // {"messages": [..], "tools": [..]}
    if (messages.contains("tools")) tools = messages["tools"];
    if (!messages.contains("messages"))
      return invalid_input(options.messages + ": expected an array of messages");
    messages = Json(messages["messages"]);
  }
  if (!options.tools.empty()) {
    SWARM_TRY(tools, read_json(options.tools, context));
  }
  SWARM_TRY(loaded.render.variables, parse_variables(options.variables));
  loaded.render.add_generation_prompt = !options.no_generation_prompt;
  SWARM_TRY(const MarkedText text,
            loaded.chat_template->render_json(messages, tools, loaded.render));
  if (!options.json) {
    context.out << text.text();
    return kExitOk;
  }
  Json trusted = Json::array();
  for (const auto& range : text.trusted()) trusted.push_back({range.begin, range.end});
  context.out << dump_json(Json{{"text", text.text()}, {"trusted", trusted}}) << "\n";
  return kExitOk;
}

}  // namespace

void register_template(CLI::App& app, CommandContext& context) {
  CLI::App* sub = app.add_subcommand("template", "The prompt a chat template makes of messages");
  auto options = std::make_shared<TemplateOptions>();
  sub->add_option("--model", options->model, "a GGUF file with a chat template");
  sub->add_option("--template", options->template_file, "a file with the template text");
  sub->add_option("--messages", options->messages, "JSON array of messages (- for stdin)")
      ->required();
  sub->add_option("--tools", options->tools, "JSON array of tools");
  sub->add_option("--var", options->variables, "NAME=JSON, more variables of the template")
      ->allow_extra_args(false);
  sub->add_flag("--no-generation-prompt", options->no_generation_prompt,
                "do not open the turn of the assistant");
  sub->add_flag("--json", options->json,
                "print {\"text\", \"trusted\"}: trusted byte ranges come from the template");
  set_action(*sub, context, options, run_template);
}

}  // namespace swarm::cli
