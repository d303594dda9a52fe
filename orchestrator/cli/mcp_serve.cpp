#include "orchestrator/cli/mcp_serve.h"

#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <cstdlib>

#include "engine/base/async/nursery.h"
#include "mcp/serve.h"
#include "orchestrator/cli/files.h"
#include "orchestrator/cli/mcp_transcripts.h"
#include "orchestrator/cli/text.h"
#include "orchestrator/orchestrator.h"

namespace swarm::cli {
namespace {

namespace net = boost::asio;

// The inputs of the file as a JSON Schema of arguments.
Json input_schema(const Json& document) {
  Json properties = Json::object(), required = Json::array();
  const Json inputs = document.value("inputs", Json::object());
  for (const auto& [name, declared] : inputs.items()) {
    Json property = Json::object();
    const bool known = declared.is_object();
    property["type"] = known ? declared.value("type", "string") : "string";
    if (known && declared.contains("description"))
      property["description"] = declared.at("description");
    if (known && declared.contains("required") && declared.at("required") == true)
      required.push_back(name);
    properties[name] = std::move(property);
  }
  Json out = Json::object();
  out["type"] = "object";
  out["properties"] = std::move(properties);
  if (!required.empty()) out["required"] = std::move(required);
  out["additionalProperties"] = false;
  return out;
}

std::string tool_name(const std::string& name) {
  std::string out = name.substr(0, 64);
  for (char& c : out) {
    const bool fine = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                      c == '_' || c == '-';
    if (!fine) c = '_';
  }
  return out.empty() ? "swarm" : out;
}

// What a run is doing, for progress messages.
std::string happening(std::string_view type, const Json& data) {
  std::string out(type);
  for (const char* key : {"task", "agent", "tool", "round"})
    if (data.is_object() && data.contains(key)) out += " " + as_text(data.at(key));
  return out;
}

Json call_result(const run::RunResult& result) {
  const std::string text = result.ok ? as_text(result.answer) : result.outcome + ": " +
                                                                    result.error;
  Json out = Json::object();
  out["content"] = Json::array({Json{{"type", "text"}, {"text", text}}});
  out["structuredContent"] = to_json(result);
  if (!result.ok) out["isError"] = true;
  return out;
}

class SwarmTool {
 public:
  SwarmTool(const McpServeOptions& options, const config::Config& config,
            CommandContext& context)
      : options_(options), context_(context),
        settings_(run::real_settings(context.accelerator)),
        transcripts_(config.name, config.journal_dir) {
    settings_.version = SWARM_VERSION;
  }

  Async<Json> call(Json arguments, mcp::ServedCall& call) const {
    config::LoadOptions load;
    load.bin_dir = binary_directory(context_);
    for (const auto& [name, value] : arguments.items()) load.inputs[name] = as_text(value);
    const config::Loaded loaded = config::load_file(options_.file, load);
    if (!loaded.config) throw ErrorException(invalid_input(loaded.report()));
    run::RunSettings settings = settings_;
    double events = 0;
    settings.listener = [&](std::string_view type, const Json& data, const std::string&) {
      call.progress(++events, std::nullopt, happening(type, data));
    };
    const run::RunResult result = co_await run::run_swarm(
        *loaded.config, std::move(settings), context_.clock, *context_.log);
    Json out = call_result(result);
    if (!result.directory.empty()) {
      transcripts_.add(result.id);
      if (announcer_ != nullptr) announcer_->resources_changed();
      // Older clients refuse a kind of content they do not know.
      if (call.protocol_version() >= "2025-06-18")
        out["content"].push_back(Transcripts::link(result.id));
    }
    co_return out;
  }

  Transcripts& transcripts() const { return transcripts_; }
  // Told when the list of transcripts has changed.
  void announce_to(mcp::Announcer& announcer) { announcer_ = &announcer; }

 private:
  const McpServeOptions& options_;
  CommandContext& context_;
  run::RunSettings settings_;                // of every call: they share engines
  mutable Transcripts transcripts_;
  mcp::Announcer* announcer_ = nullptr;
};

mcp::Served offer(const config::Config& config, const SwarmTool& tool) {
  mcp::Served out;
  out.name = "swarm/" + config.name;
  out.version = SWARM_VERSION;
  Json definition = Json::object();
  definition["name"] = tool_name(config.name);
  definition["description"] = config.description.empty()
                                  ? "Runs the swarm \"" + config.name + "\" and returns its answer"
                                  : config.description;
  definition["inputSchema"] = input_schema(config.document);
  Json schema = Json::object();
  schema["type"] = "object";
  schema["properties"]["outcome"]["type"] = "string";
  schema["properties"]["answer"] = Json::object();
  schema["required"] = Json::array({"outcome", "answer"});
  definition["outputSchema"] = std::move(schema);
  out.tools.push_back({.definition = std::move(definition),
                       .call = [&tool](Json arguments, mcp::ServedCall& call) {
                         return tool.call(std::move(arguments), call);
                       },
                       .task = mcp::TaskUse::offered});
  Transcripts& transcripts = tool.transcripts();
  out.templates.push_back(
      {.definition = Transcripts::definition(),
       .read = [&transcripts](std::string uri) -> Async<Json> {
         auto contents = transcripts.read(uri);
         if (!contents) throw ErrorException(contents.error());
         co_return std::move(*contents);
       },
       .instances = [&transcripts] { return transcripts.list(); }});
  out.complete = [&transcripts](const Json& ref, const std::string& argument,
                                const std::string& value) {
    const bool run = ref.is_object() && ref.value("type", "") == "ref/resource" &&
                     argument == "id";
    return run ? transcripts.complete(value) : std::vector<std::string>();
  };
  return out;
}

int serve(mcp::Server& server, bool http, net::io_context& io) {
  net::cancellation_signal cancel;
  net::signal_set signals(io, SIGINT, SIGTERM);
  bool interrupted = false;
  signals.async_wait([&](const boost::system::error_code& error, int) {
    if (error) return;
    interrupted = true;
    cancel.emit(net::cancellation_type::all);
  });
  std::exception_ptr failure;
  net::co_spawn(io, http ? server.run_http() : server.run_stdio(STDIN_FILENO, STDOUT_FILENO),
                net::bind_cancellation_slot(cancel.slot(), [&](const std::exception_ptr& error) {
                  failure = error;
                  signals.cancel();
                }));
  io.run();
  if (failure && !is_cancellation(failure)) std::rethrow_exception(failure);
  return interrupted && !http ? kExitInterrupted : kExitOk;
}

}  // namespace

void add_serve_options(CLI::App& sub, McpServeOptions& options) {
  sub.add_option("FILE", options.file, "swarm file (YAML)")->required();
  sub.add_flag("--http", options.http, "serve HTTP; else one client on stdin and stdout");
  sub.add_option("--host", options.host, "address to listen on")->capture_default_str();
  sub.add_option("--port", options.port, "0 = any; the URL is printed");
  sub.add_option("--token-env", options.token_env,
                 "variable with the bearer token clients must send")
      ->type_name("NAME");
  sub.add_option("--origin", options.origins,
                 "origin whose pages may call, as https://app.example; may be repeated")
      ->type_name("URL");
}

Result<int> run_mcp_serve(const McpServeOptions& options, CommandContext& context) {
  const FileOptions file{.file = options.file, .inputs = {}, .sets = {}};
  const LoadedFile loaded = load_swarm(file, /*need_inputs=*/false, context);
  if (!loaded.config) return loaded.code;
  mcp::ServeOptions serving;
  serving.host = options.host;
  serving.port = options.port;
  if (!options.token_env.empty()) {
    const char* token = std::getenv(options.token_env.c_str());
    if (token == nullptr || *token == '\0')
      return environment_error("environment variable \"" + options.token_env + "\" is not set");
    serving.bearer_token = token;
  }
  serving.origins = options.origins;
  SwarmTool tool(options, *loaded.config, context);
  const mcp::Served served = offer(*loaded.config, tool);
  net::io_context io(1);
  const auto server = mcp::make_server(served, serving, io.get_executor(), *context.log);
  tool.announce_to(server->announcer());
  if (options.http) {
    server->listen();
    context.out << server->url() << "\n" << std::flush;
  }
  return serve(*server, options.http, io);
}

}  // namespace swarm::cli
