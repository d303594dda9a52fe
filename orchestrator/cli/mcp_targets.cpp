#include "orchestrator/cli/mcp_targets.h"

#include <CLI/CLI.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>
#include <unistd.h>

#include "engine/base/async/nursery.h"
#include "orchestrator/cli/checks.h"
#include "orchestrator/cli/elicit.h"
#include "orchestrator/cli/files.h"
#include "orchestrator/cli/interrupt.h"
#include "orchestrator/cli/mcp_lists.h"
#include "orchestrator/run/asked.h"
#include "orchestrator/run/servers.h"

namespace swarm::cli {
namespace {

namespace net = boost::asio;

constexpr size_t kTraceBytesMax = 2000;

Result<mcp::ServerConfig> single_target(const McpTargetOptions& options) {
  mcp::ServerConfig server;
  server.name = "server";
  server.url = options.url;
  server.command = options.command;
  const bool is_web = options.url.starts_with("http://") || options.url.starts_with("https://");
  if (!options.url.empty() && !is_web)
    return invalid_input("--url: expected http:// or https://, found \"" + options.url + "\"");
  for (const std::string& header : options.headers) {
    const size_t equals = header.find('=');
    if (equals == std::string::npos || equals == 0)
      return invalid_input("--header: expected NAME=VALUE, found \"" + header + "\"");
    server.headers.emplace_back(header.substr(0, equals), header.substr(equals + 1));
  }
  return server;
}

void apply(const McpTargetOptions& options, mcp::ServerConfig& server) {
  // An option takes the place of what the file says; both at once are refused.
  if (!options.record.empty()) {
    server.record = options.record;
    server.replay.clear();
  }
  if (!options.replay.empty()) {
    server.replay = options.replay;
    server.record.clear();
  }
  server.lazy = false;   // whoever looks at a server wants to see it running
  if (options.protocol == "modern") server.era = mcp::Era::modern;
  if (options.protocol == "legacy") server.era = mcp::Era::legacy;
  if (options.transport == "http") server.transport = mcp::TransportKind::http;
  if (options.transport == "sse") server.transport = mcp::TransportKind::sse;
}

}  // namespace

void add_target_options(CLI::App& sub, McpTargetOptions& options) {
  sub.add_option("--file", options.file, "swarm file (YAML): its mcp section");
  sub.add_option("--config", options.config,
                 "list of servers as another program writes it (mcpServers)");
  sub.add_flag("--approve", options.approve,
               "allow what .mcp.json of this folder would start, as it is now");
  sub.add_option("--url", options.url, "one server: http:// or https://");
  sub.add_option("--header", options.headers, "sent to that URL; may be repeated")
      ->type_name("NAME=VALUE")
      ->allow_extra_args(false);
  sub.add_option("--protocol", options.protocol, "which generation of the protocol")
      ->check(CLI::IsMember({"auto", "modern", "legacy"}));
  sub.add_option("--transport", options.transport, "how a URL is spoken to")
      ->check(CLI::IsMember({"auto", "http", "sse"}));
  sub.add_flag("--trace", options.trace, "every message on stderr, secrets taken out");
  sub.add_option("--record", options.record, "write the session to this file, secrets taken out");
  sub.add_option("--replay", options.replay, "answer from such a file; nothing is started");
  sub.add_option("--root", options.roots, "a folder the server is told to work in; may be repeated")
      ->type_name("DIR")
      ->allow_extra_args(false);
  sub.add_option("COMMAND", options.command, "one server: program and arguments, after --");
}

std::optional<McpTargets> mcp_targets(const McpTargetOptions& options, CommandContext& context,
                                      int& code) {
  const int given = (options.file.empty() ? 0 : 1) + (options.url.empty() ? 0 : 1) +
                    (options.config.empty() ? 0 : 1) + (options.command.empty() ? 0 : 1);
  const auto fail = [&](const Error& error) {
    context.err << error.to_text() << "\n";
    code = exit_code(error.kind);
    return std::nullopt;
  };
  const Error nothing = invalid_input(
      "expected one of --file FILE, --config FILE, --url URL and -- COMMAND..., or a list in "
      ".mcp.json");
  McpTargets out;
  if (given > 1) return fail(nothing);
  if (!options.record.empty() && !options.replay.empty())
    return fail(invalid_input("expected either --record or --replay, found both"));
  if (!options.file.empty()) {
    const FileOptions file{.file = options.file, .inputs = {}, .sets = {}};
    LoadedFile loaded = load_swarm(file, /*need_inputs=*/false, context);
    code = loaded.code;
    if (!loaded.config) return std::nullopt;
    for (const config::ModelEntry& model : loaded.config->models)
      if (model.provider == config::Provider::engine) out.models.push_back(model.engine.model);
    out.servers = std::move(loaded.config->servers);
    out.disabled = std::move(loaded.config->disabled_servers);
    out.uses = std::move(loaded.config->server_uses);
  } else if (options.url.empty() && options.command.empty()) {
    auto listed = read_mcp_lists({.file = options.config, .approve = options.approve}, context);
    if (!listed) return fail(listed.error());
    if (!listed->found) return fail(nothing);
    code = listed->code;
    out.servers = std::move(listed->servers);
    out.disabled = std::move(listed->disabled);
    if (out.servers.empty() && out.disabled.empty() && code == kExitOk)
      context.err << "the list names no servers\n";
  } else {
    auto server = single_target(options);
    if (!server) return fail(server.error());
    out.servers.push_back(std::move(*server));
  }
  if (out.servers.size() > 1 && !(options.record.empty() && options.replay.empty()))
    return fail(invalid_input("--record and --replay: expected one server, found " +
                              std::to_string(out.servers.size())));
  for (mcp::ServerConfig& server : out.servers) apply(options, server);
  return out;
}

mcp::ClientHooks hooks_for(const McpTargetOptions& options, const McpTargets& targets,
                           const std::string& server, CommandContext& context) {
  mcp::ClientHooks out;
  const auto known = targets.uses.find(server);
  const config::ServerUse use = known != targets.uses.end() ? known->second : config::ServerUse();
  for (const std::string& folder : use.roots) out.roots.push_back(run::root_of(folder));
  for (const std::string& folder : options.roots) out.roots.push_back(run::root_of(folder));
  out.offer_roots = !out.roots.empty();
  const bool person = ::isatty(STDIN_FILENO) == 1 && ::isatty(STDERR_FILENO) == 1;
  using config::Elicitation;
  if (use.elicitation == Elicitation::decline)
    out.elicit = [](std::string, Json) -> Async<Json> { co_return Json{{"action", "decline"}}; };
  else if (use.elicitation == Elicitation::automatic && person)
    out.elicit = make_elicit(std::make_shared<Desk>(
        [&context](const std::string& line) { context.err << line << "\n" << std::flush; }, [] {}));
  out.elicit_url = static_cast<bool>(out.elicit);
  return out;
}

McpVisit visit(const mcp::ServerConfig& server, mcp::ClientHooks hooks, bool trace,
               CommandContext& context, const McpBody& body) {
  std::vector<McpGuest> one;
  one.push_back({.server = server, .hooks = std::move(hooks), .body = body});
  visit_all(one, trace, context);
  return one[0].seen;
}

namespace {

void add_trace(McpGuest& guest, CommandContext& context) {
  guest.hooks.trace = [&server = guest.server, &context](bool outgoing, const std::string& text) {
    std::string shown = mcp::without_secrets(text, server);
    if (shown.size() > kTraceBytesMax)
      shown = shown.substr(0, kTraceBytesMax) + "... (" + std::to_string(text.size()) + " bytes)";
    context.err << server.name << (outgoing ? " -> " : " <- ") << visible(shown) << "\n";
  };
}

Async<> look_at(McpGuest& guest, mcp::Client& client, const Clock& clock) {
  const auto work = [&]() -> Async<> {
    const TimePoint begun = clock.now();
    try {
      co_await client.start();
    } catch (const ErrorException& e) {
      if (e.error().kind == ErrorKind::cancelled) throw;
      guest.seen.start_error = mcp::without_secrets(e.error().message, guest.server);
    }
    guest.seen.start_time =
        std::chrono::duration_cast<std::chrono::milliseconds>(clock.now() - begun);
    if (guest.seen.start_error.empty()) co_await guest.body(client);
  };
  const auto stop = [&]() -> Async<> { co_await client.stop(); };
  co_await with_cleanup(work, stop);
}

}  // namespace

void visit_all(std::vector<McpGuest>& guests, bool trace, CommandContext& context) {
  net::io_context io(1);
  net::cancellation_signal cancel;
  net::signal_set signals(io);
  for (const int signal : interrupt_signals()) signals.add(signal);
  signals.async_wait([&](const boost::system::error_code& error, int) {
    if (!error) cancel.emit(net::cancellation_type::all);
  });
  std::vector<std::unique_ptr<mcp::Client>> clients;
  for (McpGuest& guest : guests) {
    if (trace) add_trace(guest, context);
    clients.push_back(
        mcp::make_client(guest.server, io.get_executor(), *context.log, guest.hooks));
  }
  const auto root = [&]() -> Async<> {
    co_await with_nursery([&](Nursery& nursery) -> Async<> {
      for (size_t i = 0; i < guests.size(); ++i)
        nursery.start([&, i] { return look_at(guests[i], *clients[i], context.clock); });
      co_return;
    });
  };
  std::exception_ptr failure;
  net::co_spawn(io, root(),
                net::bind_cancellation_slot(cancel.slot(), [&](const std::exception_ptr& error) {
                  failure = error;
                  signals.cancel();
                }));
  io.run();
  if (failure && is_cancellation(failure))
    throw ErrorException(Error{.kind = ErrorKind::cancelled, .message = "cancelled"});
  if (failure) std::rethrow_exception(failure);
}

}  // namespace swarm::cli
