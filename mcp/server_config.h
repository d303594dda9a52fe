// mcp/server_config.h — What a configuration says about one MCP server: how it is reached, when it
// runs, how long its calls may take. Plain data, part of mcp/mcp.h; copies share `auth`.
#pragma once

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace swarm::mcp {

// automatic: a command is stdio; a URL is tried as Streamable HTTP, then as HTTP+SSE.
enum class TransportKind : uint8_t { automatic, stdio, http, sse };
// automatic: 2026-07-28 is tried first, initialize if the server does not know it.
enum class Era : uint8_t { automatic, modern, legacy };

struct AuthOptions;

// Other limits for some tools; what is unset is the server's.
struct ToolLimits {
  std::string tool;                               // its name at the server, or one ending in '*'
  std::optional<std::chrono::milliseconds> call_timeout, idle_timeout, call_timeout_max;
};

struct ServerConfig {
  std::string name;                               // [A-Za-z0-9_-]+; prefix of its tools
  std::vector<std::string> command;               // argv, no shell; or url
  std::map<std::string, std::string> env;         // added to the whitelist of section 5
  std::string cwd;                                // "" = ours
  std::chrono::milliseconds start_timeout{30000}; // each start, the probe of the era included
  // Started by the first call; until then its tools are those of the list it had last time. Without
  // such a list it is started at once.
  bool lazy = false;
  std::string list_cache;                         // folder of these lists; "" = none are kept
  std::chrono::milliseconds idle_stop{0};         // unused for so long it is stopped until the
                                                  // next call; 0 = it stays
  std::chrono::milliseconds stop_grace{2000};     // after closing stdin, and again after SIGTERM
  size_t message_bytes_max = size_t{16} << 20;    // one message of the server
  int32_t pages_max = 100;                        // pages of one list

  // A call is given up, and the server told, when it has no answer after call_timeout. With a
  // longer call_timeout_max each sign of progress starts call_timeout anew, up to that.
  std::chrono::milliseconds call_timeout{60000};
  std::chrono::milliseconds call_timeout_max{0};  // in all; 0 = call_timeout
  std::chrono::milliseconds idle_timeout{0};      // a call without progress for so long; 0 = none
  std::vector<ToolLimits> tool_limits;            // the first that fits

  std::string url;                                // http:// or https://
  std::vector<std::pair<std::string, std::string>> headers;  // to that URL only; never logged
  TransportKind transport = TransportKind::automatic;
  Era era = Era::automatic;
  std::string legacy_version = "2025-11-25";      // offered by initialize
  std::chrono::milliseconds probe_timeout{10000}; // silence after it means legacy (stdio)
  std::chrono::milliseconds restart_backoff{500}; // doubled for each restart in a row
  int32_t restarts_max = 3;                       // of a server that ended by itself, in a row
  int32_t calls_max = 16;                         // tool calls in flight; more wait in order
  bool tasks = true;                              // long calls may be tasks (2026-07-28)
  bool listen = true;                             // follow list changes (2026-07-28)
  std::string log_level;                          // of syslog; "" = as the server likes, which
                                                  // means silence in 2026-07-28
  std::vector<std::string> include_tools;         // exact, or ending in '*'; none = all
  std::vector<std::string> exclude_tools;         // wins over include_tools
  std::shared_ptr<const AuthOptions> auth;        // shared by copies; null = no authorization
  std::string ca_file;                            // additional certificate authorities, PEM
  // Files of mcp/client/recording.h: what happens is written down, secrets taken out; or the server
  // is not reached at all and what was written down happens again.
  std::string record, replay;
  std::string trace_id;                           // 32 hex digits: calls carry a traceparent
};

}  // namespace swarm::mcp
