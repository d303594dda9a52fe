// swarm mcp — looking at MCP servers: what they offer, one call, what is wrong with them.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <sstream>

#include "agents/agent.h"
#include "engine/base/json.h"
#include "orchestrator/cli/checks.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/mcp_serve.h"
#include "orchestrator/cli/mcp_targets.h"
#include "orchestrator/cli/text.h"
#include "orchestrator/cli/token_counter.h"
#include "orchestrator/run/servers.h"

namespace swarm::cli {
namespace {

struct Options {
  McpTargetOptions target;
  std::string model;                 // whose tokenizer counts; "" = of the file
  std::string tool;
  std::string arguments = "{}";
  bool json = false, unchecked = false;
};

// The tokenizer that counts definitions, if there is one; as `swarm validate` counts them.
struct Scale {
  std::string model;
  agents::TokenCounter count;

  // --model must be countable; a model of the file is taken where it is.
  static Result<Scale> of(const Options& options, const McpTargets& targets) {
    if (!options.model.empty()) {
      Scale named{options.model, open_token_counter(options.model)};
      if (!named.count)
        return environment_error("--model: expected a model with a tokenizer, found \"" +
                                 options.model + "\"");
      return named;
    }
    for (const std::string& model : targets.models)
      if (auto counter = open_token_counter(model)) return Scale{model, std::move(counter)};
    return Scale{};
  }
};

Json tool_row(const tools::ToolSpec& spec, const Scale& scale) {
  const size_t bytes =
      spec.name.size() + spec.description.size() + dump_json(spec.parameters).size();
  return Json{{"name", spec.name}, {"description", spec.description}, {"bytes", bytes},
              {"tokens", agents::definition_cost(std::span(&spec, 1), scale.count).tokens}};
}

// What there is to know about a running server.
Json describe(mcp::Client& client, const Scale& scale) {
  Json tools = Json::array();
  size_t bytes = 0;
  std::vector<tools::ToolSpec> specs;
  for (const auto& tool : client.tools()) {
    specs.push_back(tool->spec());
    tools.push_back(tool_row(tool->spec(), scale));
    bytes += tools.back()["bytes"].get<size_t>();
  }
  Json capabilities = Json::array();
  for (const auto& [name, value] : client.capabilities().items()) capabilities.push_back(name);
  const mcp::ServerInfo& info = client.info();
  const agents::DefinitionCost cost = agents::definition_cost(specs, scale.count);
  Json out{{"name", info.name},
           {"version", info.version},
           {"protocol", info.protocol_version},
           {"era", info.protocol_version >= "2026" ? "modern" : "legacy"},
           {"transport", client.transport_name()},
           {"capabilities", capabilities},
           {"tools", tools},
           {"tools_bytes", bytes},
           {"tools_tokens", cost.tokens},
           {"exact", cost.exact}};
  if (cost.exact) out["tokenizer"] = scale.model;
  if (!info.instructions.empty()) out["instructions"] = info.instructions;
  out["metrics"] = client.metrics();
  return out;
}

// "12 tokens", "about 12 tokens": tokens of something that describe() made.
std::string tokens_text(const Json& tokens, const Json& about) {
  return (about["exact"] == true ? "" : "about ") + counted(tokens.get<int64_t>(), "token");
}

std::string how_counted(const Json& about) {
  return about["exact"] == true ? " (by the tokenizer of " + as_text(about["tokenizer"]) + ")"
                                : " (estimated: no tokenizer at hand; say --model)";
}

constexpr size_t kDescriptionBytesMax = 70;

std::string first_line(const std::string& text) {
  return shortened(text.substr(0, text.find('\n')), kDescriptionBytesMax);
}

void print_server(const std::string& name, const Json& about, std::ostream& out) {
  out << name << ": " << as_text(about["name"]) << " " << as_text(about["version"]) << ", "
      << as_text(about["era"]) << " " << as_text(about["protocol"]) << " over "
      << as_text(about["transport"]) << "; " << counted(std::ssize(about["tools"]), "tool")
      << ", " << tokens_text(about["tools_tokens"], about) << how_counted(about) << "\n";
}

void print_tools(const Json& about, std::ostream& out) {
  for (const Json& tool : about["tools"])
    out << "  " << as_text(tool["name"]) << "  (" << tokens_text(tool["tokens"], about) << ")  "
        << first_line(as_text(tool["description"])) << "\n";
}

Result<int> run_list(const Options& options, CommandContext& context) {
  int code = kExitOk;
  const auto targets = mcp_targets(options.target, context, code);
  if (!targets) return code;
  SWARM_TRY(const Scale scale, Scale::of(options, *targets));
  std::vector<Json> about(targets->servers.size());
  std::vector<McpGuest> guests;
  for (size_t i = 0; i < about.size(); ++i)
    guests.push_back({.server = targets->servers[i],
                      .hooks = hooks_for(options.target, *targets, targets->servers[i].name,
                                         context),
                      .body = [&scale, &mine = about[i]](mcp::Client& client) -> Async<> {
                        mine = describe(client, scale);
                        co_return;
                      }});
  visit_all(guests, options.target.trace, context);
  for (size_t i = 0; i < guests.size(); ++i) {
    const std::string& name = guests[i].server.name;
    const std::string& problem = guests[i].seen.start_error;
    if (!problem.empty()) {
      code = kExitEnvironment;
      context.err << "error: " << visible(problem) << "\n";
      if (options.json)
        context.out << dump_json({{"server", name}, {"error", problem}}) << "\n";
    } else if (options.json) {
      about[i]["server"] = name;
      context.out << dump_json(about[i]) << "\n";
    } else {
      std::ostringstream text;
      print_server(name, about[i], text);
      print_tools(about[i], text);
      context.out << visible(text.str());
    }
  }
  return code;
}

// "NAME/TOOL" of a file with several servers, or TOOL of the only one.
Result<const mcp::ServerConfig*> owner_of(std::string& tool,
                                          const std::vector<mcp::ServerConfig>& servers) {
  const size_t slash = tool.find('/');
  if (slash != std::string::npos)
    for (const mcp::ServerConfig& server : servers)
      if (server.name == tool.substr(0, slash)) {
        tool = tool.substr(slash + 1);
        return &server;
      }
  if (servers.size() == 1) return &servers.front();
  std::string names;
  for (const mcp::ServerConfig& server : servers)
    names += (names.empty() ? "" : ", ") + server.name;
  return invalid_input("expected NAME/TOOL with one of the servers " + names + ", found \"" + tool +
                       "\"");
}

// What is wrong with a call before it is made, as agents hear it, too. tool: as the server calls it
// or as models see it; becomes the former.
Result<void> check_call(const mcp::Client& client, std::string& tool, const Json& arguments) {
  std::vector<std::string> names;
  for (const auto& one : client.tools()) {
    const tools::ToolSpec& spec = one->spec();
    names.push_back(spec.remote_name);
    if (spec.remote_name != tool && spec.name != tool) continue;
    tool = spec.remote_name;
    const auto valid = tools::validate_json(spec.parameters, arguments);
    if (valid || valid.error().kind == ErrorKind::unsupported) return {};
    return invalid_input("--arguments: " + valid.error().message);
  }
  const std::string near = did_you_mean(tool, names);
  return invalid_input("there is no tool \"" + tool + "\"" +
                       (near.empty() ? "; swarm mcp list shows what there is"
                                     : "; did you mean \"" + near + "\"?"));
}

// Whatever a server answers: blocks that are no texts are shown as JSON, a result without any as a
// whole. On a terminal nothing of it moves the cursor.
void print_result(const Json& result, std::ostream& out) {
  const bool person = &out == &std::cout && ::isatty(STDOUT_FILENO) == 1;
  const auto print = [&](const std::string& text) {
    out << (person ? visible(text) : text) << "\n";
  };
  const auto content = result.find("content");
  if (content == result.end() || !content->is_array() || content->empty()) {
    const auto structured = result.find("structuredContent");
    return print(dump_json(structured != result.end() ? *structured : result));
  }
  for (const Json& block : *content) {
    const auto type = block.find("type"), text = block.find("text");
    const bool plain = type != block.end() && *type == "text" && text != block.end() &&
                       text->is_string();
    print(plain ? text->get<std::string>() : dump_json(block));
  }
}

Result<int> run_call(const Options& options, CommandContext& context) {
  SWARM_TRY(const Json arguments, parse_json(options.arguments, "--arguments"));
  if (!arguments.is_object())
    return invalid_input("--arguments: expected a JSON object, found " + options.arguments);
  int code = kExitOk;
  const auto targets = mcp_targets(options.target, context, code);
  if (!targets) return code;
  std::string tool = options.tool;
  SWARM_TRY(const mcp::ServerConfig* server, owner_of(tool, targets->servers));
  mcp::ClientHooks hooks = hooks_for(options.target, *targets, server->name, context);
  hooks.on_event = [&context](std::string_view, std::string_view event, const Json& details) {
    if (event == "progress") context.err << "progress " << dump_json(details) << "\n";
  };
  Json result;
  std::string problem;
  Result<void> fine = {};
  const McpVisit seen = visit(*server, std::move(hooks), options.target.trace, context,
                              [&](mcp::Client& client) -> Async<> {
                                if (!options.unchecked)
                                  fine = check_call(client, tool, arguments);
                                if (!fine) co_return;
                                const mcp::CallOptions call;
                                try {
                                  result = co_await client.call_tool(tool, arguments, call);
                                } catch (const ErrorException& e) {
                                  if (e.error().kind == ErrorKind::cancelled) throw;
                                  problem = e.error().message;
                                }
                              });
  if (!seen.start_error.empty()) return environment_error(seen.start_error);
  if (!fine) return fine.error();
  if (!problem.empty()) return failed(mcp::without_secrets(problem, *server));
  if (options.json) {
    context.out << dump_json(result) << "\n";
  } else {
    print_result(result, context.out);
  }
  if (!result.is_object()) return failed("the server sent a result that is not an object");
  const auto error = result.find("isError");
  return error != result.end() && *error == true ? kExitRunFailed : kExitOk;
}

void print_doctor(const Json& report, std::ostream& out) {
  out << as_text(report["server"]) << ": " << as_text(report["state"]) << "\n";
  for (const char* key : {"error", "advice"})
    if (report.contains(key)) out << "  " << key << ": " << as_text(report[key]) << "\n";
  if (!report.contains("about")) return;
  const Json& about = report["about"];
  out << "  " << as_text(about["name"]) << " " << as_text(about["version"]) << ", "
      << as_text(about["era"]) << " " << as_text(about["protocol"]) << " over "
      << as_text(about["transport"]) << ", ready after " << report["start_ms"] << " ms\n  offers "
      << dump_json(about["capabilities"]) << "\n  "
      << counted(std::ssize(about["tools"]), "tool") << ", " << about["tools_bytes"]
      << " bytes of definitions, " << tokens_text(about["tools_tokens"], about)
      << how_counted(about) << "\n";
  if (about.contains("instructions"))
    out << "  says of itself (not shown to models): "
        << first_line(as_text(about["instructions"])) << "\n";
  const Json& metrics = about["metrics"];
  out << "  started " << counted(metrics["starts"].get<int64_t>(), "time") << ", "
      << counted(metrics["reconnects"].get<int64_t>(), "reconnect") << ", "
      << metrics["bytes_sent"] << " bytes sent, " << metrics["bytes_received"] << " received\n";
  for (const Json& one : report["quarantined"])
    out << "  left out: " << as_text(one["tool"]) << ": " << as_text(one["why"]) << "\n";
  for (const Json& one : report["hidden_text"])
    out << "  invisible or bidirectional characters in the definition of " << as_text(one)
        << "\n";
}

// One server, and what is said about it.
struct Patient {
  run::ServerStatus status;
  Json report;

  mcp::ClientHooks watched(mcp::ClientHooks out) {
    out.on_event = [this](std::string_view, std::string_view event, const Json& details) {
      status.told(event, details);
      if (event == "hidden_text") report["hidden_text"].push_back(details["tool"]);
    };
    return out;
  }
  void conclude(const McpVisit& seen, const mcp::ServerConfig& server) {
    if (seen.start_error.empty())
      status.ready();
    else
      status.failed(seen.start_error);
    report["state"] = run::to_string(status.state);
    report["quarantined"] = status.left_out;
    report["start_ms"] = seen.start_time.count();
    if (!seen.start_error.empty()) report["error"] = seen.start_error;
    if (const std::string advice = run::advice_on(status.state, server); !advice.empty())
      report["advice"] = advice;
  }
};

Result<int> run_doctor(const Options& options, CommandContext& context) {
  int code = kExitOk;
  const auto targets = mcp_targets(options.target, context, code);
  if (!targets) return code;
  SWARM_TRY(const Scale scale, Scale::of(options, *targets));
  std::vector<Patient> patients(targets->servers.size());
  std::vector<McpGuest> guests;
  for (size_t i = 0; i < patients.size(); ++i) {
    Patient& patient = patients[i];
    patient.report = {{"server", targets->servers[i].name}, {"hidden_text", Json::array()}};
    guests.push_back({.server = targets->servers[i],
                      .hooks = patient.watched(hooks_for(
                          options.target, *targets, targets->servers[i].name, context)),
                      .body = [&scale, &patient](mcp::Client& client) -> Async<> {
                        patient.report["about"] = describe(client, scale);
                        co_return;
                      }});
  }
  visit_all(guests, options.target.trace, context);
  std::vector<Json> reports;
  for (size_t i = 0; i < guests.size(); ++i) {
    patients[i].conclude(guests[i].seen, guests[i].server);
    if (!guests[i].seen.start_error.empty()) code = kExitEnvironment;
    reports.push_back(std::move(patients[i].report));
  }
  for (const std::string& name : targets->disabled)
    reports.push_back({{"server", name}, {"state", to_string(run::ServerState::disabled)}});
  for (const Json& report : reports) {
    if (options.json) {
      context.out << dump_json(report) << "\n";
    } else {
      std::ostringstream text;
      print_doctor(report, text);
      context.out << visible(text.str());
    }
  }
  return code;
}

}  // namespace

void register_mcp(CLI::App& app, CommandContext& context) {
  CLI::App* group = app.add_subcommand("mcp", "MCP servers: what they offer, one call, a check-up");
  group->require_subcommand(1);
  const auto add = [&](const char* name, const char* what, auto function) {
    CLI::App* sub = group->add_subcommand(name, what);
    auto options = std::make_shared<Options>();
    if (std::string_view(name) == "call") {
      sub->add_option("TOOL", options->tool, "TOOL, or NAME/TOOL of a file")->required();
      sub->add_option("--arguments,-a", options->arguments, "a JSON object");
      sub->add_flag("--unchecked", options->unchecked,
                    "call it whatever the server's list says of tool and arguments");
    } else {
      sub->add_option("--model", options->model,
                      "whose tokenizer counts the definitions; default: the file's");
    }
    add_target_options(*sub, options->target);
    sub->add_flag("--json", options->json, "print JSON");
    set_action(*sub, context, options, function);
  };
  add("list", "Server by server: version, generation, tools with their cost", run_list);
  add("call", "Call one tool and print its result", run_call);
  add("doctor", "Start each server and say what is wrong", run_doctor);
  CLI::App* sub = group->add_subcommand("serve", "Offer a swarm file as an MCP tool");
  auto options = std::make_shared<McpServeOptions>();
  add_serve_options(*sub, *options);
  set_action(*sub, context, options, run_mcp_serve);
}

}  // namespace swarm::cli
