// swarm mcp — looking at MCP servers: what they offer, one call, what is wrong with them.
#include <CLI/CLI.hpp>

#include "engine/base/json.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/mcp_serve.h"
#include "orchestrator/cli/mcp_targets.h"
#include "orchestrator/cli/text.h"

namespace swarm::cli {
namespace {

// Without a model there is no tokenizer; schemas of common servers take about so many.
constexpr size_t kBytesPerToken = 4;

struct Options {
  McpTargetOptions target;
  std::string tool;
  std::string arguments = "{}";
  bool json = false;
};

Json tool_row(const tools::ToolSpec& spec) {
  const size_t bytes =
      spec.name.size() + spec.description.size() + dump_json(spec.parameters).size();
  return Json{{"name", spec.name}, {"description", spec.description}, {"bytes", bytes},
              {"tokens_estimate", bytes / kBytesPerToken}};
}

// What there is to know about a running server.
Json describe(mcp::Client& client) {
  Json tools = Json::array();
  size_t bytes = 0;
  for (const auto& tool : client.tools()) {
    tools.push_back(tool_row(tool->spec()));
    bytes += tools.back()["bytes"].get<size_t>();
  }
  Json capabilities = Json::array();
  for (const auto& [name, value] : client.capabilities().items()) capabilities.push_back(name);
  const mcp::ServerInfo& info = client.info();
  return Json{{"name", info.name},
              {"version", info.version},
              {"protocol", info.protocol_version},
              {"era", info.protocol_version >= "2026" ? "modern" : "legacy"},
              {"transport", client.transport_name()},
              {"capabilities", capabilities},
              {"tools", tools},
              {"tools_bytes", bytes},
              {"tools_tokens_estimate", bytes / kBytesPerToken},
              {"metrics", client.metrics()}};
}

std::string first_line(const std::string& text, size_t columns) {
  std::string out = text.substr(0, text.find('\n'));
  if (out.size() > columns) out = out.substr(0, columns - 3) + "...";
  return out;
}

void print_server(const std::string& name, const Json& about, std::ostream& out) {
  out << name << ": " << as_text(about["name"]) << " " << as_text(about["version"]) << ", "
      << as_text(about["era"]) << " " << as_text(about["protocol"]) << " over "
      << as_text(about["transport"]) << "; " << counted(std::ssize(about["tools"]), "tool")
      << ", about " << about["tools_tokens_estimate"] << " tokens\n";
}

Result<int> run_list(const Options& options, CommandContext& context) {
  int code = kExitOk;
  const auto servers = mcp_targets(options.target, context, code);
  if (!servers) return code;
  for (const mcp::ServerConfig& server : *servers) {
    Json about;
    const McpVisit seen = visit(server, {}, options.target.trace, context,
                                [&](mcp::Client& client) -> Async<> {
                                  about = describe(client);
                                  co_return;
                                });
    if (!seen.start_error.empty()) {
      code = kExitEnvironment;
      context.err << "error: " << seen.start_error << "\n";
      if (options.json)
        context.out << dump_json({{"server", server.name}, {"error", seen.start_error}}) << "\n";
      continue;
    }
    if (options.json) {
      about["server"] = server.name;
      context.out << dump_json(about) << "\n";
      continue;
    }
    print_server(server.name, about, context.out);
    for (const Json& tool : about["tools"])
      context.out << "  " << as_text(tool["name"]) << "  (about " << tool["tokens_estimate"]
                  << " tokens)  " << first_line(as_text(tool["description"]), 70) << "\n";
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
  return invalid_input("expected NAME/TOOL, found \"" + tool + "\"");
}

Result<int> run_call(const Options& options, CommandContext& context) {
  SWARM_TRY(const Json arguments, parse_json(options.arguments, "--arguments"));
  if (!arguments.is_object())
    return invalid_input("--arguments: expected a JSON object, found " + options.arguments);
  int code = kExitOk;
  const auto servers = mcp_targets(options.target, context, code);
  if (!servers) return code;
  std::string tool = options.tool;
  SWARM_TRY(const mcp::ServerConfig* server, owner_of(tool, *servers));
  mcp::ClientHooks hooks;
  hooks.on_event = [&context](std::string_view, std::string_view event, const Json& details) {
    if (event == "progress") context.err << "progress " << dump_json(details) << "\n";
  };
  Json result;
  std::string problem;
  const McpVisit seen = visit(*server, std::move(hooks), options.target.trace, context,
                              [&](mcp::Client& client) -> Async<> {
                                const mcp::CallOptions call;
                                try {
                                  result = co_await client.call_tool(tool, arguments, call);
                                } catch (const ErrorException& e) {
                                  if (e.error().kind == ErrorKind::cancelled) throw;
                                  problem = e.error().message;
                                }
                              });
  if (!seen.start_error.empty()) return environment_error(seen.start_error);
  if (!problem.empty()) return failed(redacted(problem, *server));
  if (options.json) {
    context.out << dump_json(result) << "\n";
  } else {
    for (const Json& block : result.value("content", Json::array()))
      context.out << (block.value("type", "") == "text" ? as_text(block["text"])
                                                        : dump_json(block))
                  << "\n";
    if (result.value("content", Json::array()).empty())
      context.out << dump_json(result.value("structuredContent", Json())) << "\n";
  }
  const auto error = result.find("isError");
  return error != result.end() && *error == true ? kExitRunFailed : kExitOk;
}

void print_doctor(const Json& report, std::ostream& out) {
  out << as_text(report["server"]) << ": " << as_text(report["state"]) << "\n";
  if (report.contains("error")) out << "  error: " << as_text(report["error"]) << "\n";
  if (!report.contains("about")) return;
  const Json& about = report["about"];
  out << "  " << as_text(about["name"]) << " " << as_text(about["version"]) << ", "
      << as_text(about["era"]) << " " << as_text(about["protocol"]) << " over "
      << as_text(about["transport"]) << ", ready after " << report["start_ms"] << " ms\n  offers "
      << dump_json(about["capabilities"]) << "\n  "
      << counted(std::ssize(about["tools"]), "tool") << ", " << about["tools_bytes"]
      << " bytes of definitions, about " << about["tools_tokens_estimate"] << " tokens\n";
  const Json& metrics = about["metrics"];
  out << "  started " << counted(metrics["starts"].get<int64_t>(), "time") << ", "
      << counted(metrics["reconnects"].get<int64_t>(), "reconnect") << ", "
      << metrics["bytes_sent"] << " bytes sent, " << metrics["bytes_received"] << " received\n";
  for (const Json& one : report["quarantined"])
    out << "  left out: " << as_text(one["tool"]) << ": " << as_text(one["why"]) << "\n";
}

Result<int> run_doctor(const Options& options, CommandContext& context) {
  int code = kExitOk;
  const auto servers = mcp_targets(options.target, context, code);
  if (!servers) return code;
  for (const mcp::ServerConfig& server : *servers) {
    Json report{{"server", server.name}, {"quarantined", Json::array()}};
    mcp::ClientHooks hooks;
    hooks.on_event = [&report](std::string_view, std::string_view event, const Json& details) {
      if (event == "quarantined") report["quarantined"].push_back(details);
      if (event == "state" && details["state"] != "stopped") report["state"] = details["state"];
    };
    const McpVisit seen = visit(server, std::move(hooks), options.target.trace, context,
                                [&](mcp::Client& client) -> Async<> {
                                  report["about"] = describe(client);
                                  co_return;
                                });
    report["start_ms"] = seen.start_time.count();
    if (!seen.start_error.empty()) {
      report["error"] = seen.start_error;
      code = kExitEnvironment;
    }
    if (options.json) {
      context.out << dump_json(report) << "\n";
    } else {
      print_doctor(report, context.out);
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
