// mcp/import.h — Server lists as other programs write them (mcpServers and its dialects,
// reference/mcp.md section 12), read into one form. Nothing is expanded or started here: that comes
// after somebody has decided to trust the list. Pure functions over untrusted text.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/json.h"
#include "mcp/config/variables.h"
#include "mcp/mcp.h"

namespace swarm::mcp {

// Texts still have their ${NAME}.
struct ImportedServer {
  std::string name;                        // letters, digits, _ and -; different from all others
  bool enabled = true;                     // others are never started
  std::vector<std::string> command = {};
  std::vector<std::pair<std::string, std::string>> env = {};
  std::string cwd, url;
  std::vector<std::pair<std::string, std::string>> headers = {};
  TransportKind transport = TransportKind::automatic;
  Era era = Era::automatic;
  std::optional<std::chrono::milliseconds> start_timeout, call_timeout;
  std::vector<std::string> include_tools = {}, exclude_tools = {};
  std::vector<std::string> approved_tools = {};  // globs; "*" = all of them
  std::optional<bool> required;            // unset: nothing was said
  bool authorize = false;                  // OAuth, with what is known of it beforehand:
  std::string client_id, client_secret, redirect_uri;
  std::vector<std::string> warnings = {};  // what was not understood, and ignored
  std::string problem;                     // why it cannot be used; "" = it can
};

// JSON, comments and trailing commas allowed. name: for messages.
Result<std::vector<ImportedServer>> import_servers(std::string_view text, std::string_view name);
// TOML, as Codex writes it.
Result<std::vector<ImportedServer>> import_toml(std::string_view text, std::string_view name);
// A parsed list, whatever it was written in. A number `timeout` up to 3600 is seconds (Cline,
// Goose), a larger one milliseconds (Gemini, LibreChat).
Result<std::vector<ImportedServer>> import_document(const Json& document, std::string_view name);

// The texts between which a person decides: what would be run or reached. Values of env and headers
// are left out; they are often secrets.
std::string fingerprint(const ImportedServer& server);
// The same for people: the command line, or the URL.
std::string what_it_runs(const ImportedServer& server);

// Ready for make_client(). Fails with server, field and variable when one is not set; a server with
// a problem fails with it.
Result<ServerConfig> resolve_server(const ImportedServer& server, const Variable& variable);

// The text without comments and trailing commas, at the same length.
std::string without_comments(std::string_view text);

}  // namespace swarm::mcp
