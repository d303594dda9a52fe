#include "orchestrator/cli/mcp_lists.h"

#include <cstdlib>
#include <filesystem>
#include <set>

#include "mcp/approvals.h"
#include "orchestrator/cli/checks.h"
#include "orchestrator/config/mcp_files.h"

namespace swarm::cli {
namespace {

namespace fs = std::filesystem;

constexpr const char* kProjectList = ".mcp.json";

std::optional<std::string> variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
}

std::string user_folder() {
  if (const auto configured = variable("XDG_CONFIG_HOME"); configured && !configured->empty())
    return *configured + "/swarm";
  return variable("HOME").value_or(".") + "/.config/swarm";
}

Result<std::vector<mcp::ImportedServer>> read_list(const std::string& file) {
  config::Sources sources;
  std::vector<config::Problem> problems;
  auto servers = config::read_mcp_list(file, sources, problems);
  if (problems.empty()) return servers;
  return Error{.kind = problems[0].kind, .message = problems[0].message,
               .location = problems[0].place.location};
}

class Collector {
 public:
  explicit Collector(CommandContext& context) : context_(context) {}

  // approvals: null for a list that is trusted as it is.
  Result<void> add(const std::string& file, mcp::Approvals* approvals, bool approve) {
    SWARM_TRY(const std::vector<mcp::ImportedServer> servers, read_list(file));
    out_.found = true;
    for (const mcp::ImportedServer& server : servers) {
      if (!names_.insert(server.name).second) continue;  // an earlier list has said it
      for (const std::string& warning : server.warnings)
        context_.err << "warning: " << file << ": " << server.name << ": " << visible(warning)
                     << "\n";
      if (!server.enabled) {
        out_.disabled.push_back(server.name);
        continue;
      }
      if (approvals != nullptr && !agreed(file, server, *approvals, approve)) continue;
      auto config = mcp::resolve_server(server, variable);  // only what is trusted is expanded
      if (config) {
        out_.servers.push_back(std::move(*config));
      } else {
        complain(config.error().message);
      }
    }
    return {};
  }
  McpLists take() { return std::move(out_); }

 private:
  void complain(const std::string& text) {
    context_.err << "error: " << visible(text) << "\n";
    out_.code = kExitEnvironment;
  }
  bool agreed(const std::string& file, const mcp::ImportedServer& server,
              mcp::Approvals& approvals, bool approve) {
    const auto verdict = approvals.verdict(file, server);
    if (verdict == mcp::Approvals::Verdict::approved) return true;
    if (approve) {
      approvals.approve(file, server);
      return true;
    }
    const bool changed = verdict == mcp::Approvals::Verdict::changed;
    complain("mcp server \"" + server.name + "\" of " + file +
             (changed ? " has changed since it was approved" : " was never approved") +
             "; it would be " + (server.command.empty() ? "reached at " : "run as ") +
             mcp::what_it_runs(server) + "; --approve allows it");
    return false;
  }

  CommandContext& context_;
  McpLists out_;
  std::set<std::string> names_;
};

}  // namespace

Result<McpLists> read_mcp_lists(const McpListOptions& options, CommandContext& context) {
  Collector collector(context);
  if (!options.file.empty()) {
    SWARM_TRY_VOID(collector.add(options.file, nullptr, false));
    return collector.take();
  }
  std::error_code ignored;
  const std::string project = fs::absolute(kProjectList, ignored).string();
  const std::string user = user_folder() + "/mcp.json";
  if (fs::exists(project, ignored)) {
    SWARM_TRY(mcp::Approvals approvals,
              mcp::Approvals::load(user_folder() + "/mcp-approvals.json"));
    SWARM_TRY_VOID(collector.add(project, &approvals, options.approve));
    if (options.approve) SWARM_TRY_VOID(approvals.save());
  }
  if (fs::exists(user, ignored)) SWARM_TRY_VOID(collector.add(user, nullptr, false));
  return collector.take();
}

}  // namespace swarm::cli
