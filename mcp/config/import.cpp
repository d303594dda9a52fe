#include "mcp/import.h"

#include <algorithm>
#include <array>
#include <set>

#include "mcp/auth/crypto.h"
#include "mcp/config/toml.h"
#include "mcp/message/json_member.h"
#include "mcp/transport/url.h"

namespace swarm::mcp {
namespace {

using std::chrono::milliseconds;

// Under which name programs keep their list, the most usual first.
constexpr std::array<const char*, 5> kRoots{"mcpServers", "servers", "mcp_servers", "extensions",
                                            "mcp"};
constexpr int64_t kSecondsMax = 3600;            // a larger timeout is in milliseconds
constexpr int64_t kTimeoutMaxMs = 24 * 3600 * 1000;

// Known, and only for people to look at.
const std::set<std::string>& decoration() {
  static const std::set<std::string> kKeys{"description", "name",    "display_name", "iconPath",
                                           "icon",        "version", "gallery",      "bundled",
                                           "chatMenu",    "$schema"};
  return kKeys;
}

// Known, and not done: somebody who writes them expects something to happen.
struct Ignored {
  const char *key, *why;
};
constexpr std::array<Ignored, 5> kIgnored{{
    {"startup", "servers are started when a run begins"},
    {"proxy", "connections are direct"},
    {"serverInstructions", "what a server says about itself is not shown to models"},
    {"deferTools", "tools wait behind a search when they are too many, see tool_tokens_max"},
    {"customUserVars", "nobody is asked for values; use ${NAME} and the environment"},
}};

// One entry, key by key; what is left over in the end was not understood.
class Entry {
 public:
  Entry(std::string name, const Json& value) : value_(value) { out_.name = std::move(name); }

  ImportedServer read() {
    read_switches();
    read_program();
    read_address();
    read_times();
    read_tools();
    read_authorization();
    for (const Ignored& one : kIgnored)
      if (take({one.key}) != nullptr) ignore(one.key, one.why);
    for (const auto& [key, ignored] : value_.items())
      if (!taken_.contains(key) && !decoration().contains(key))
        out_.warnings.push_back("\"" + key + "\" is not understood");
    if (out_.command.empty() && out_.url.empty()) complain("expected command or url");
    if (!out_.command.empty() && !out_.url.empty()) complain("has both command and url");
    const auto url = parse_url(out_.url);
    if (!url && !out_.url.empty() && out_.url.find("${") == std::string::npos)
      complain(url.error().message);
    return std::move(out_);
  }

 private:
  void complain(const std::string& text) {
    if (out_.problem.empty()) out_.problem = text;
  }
  void ignore(const std::string& key, const std::string& why) {
    out_.warnings.push_back("\"" + key + "\" is ignored: " + why);
  }
  // The first of these keys that is there and not null.
  const Json* take(std::initializer_list<const char*> keys) {
    const Json* found = nullptr;
    for (const char* key : keys) {
      const auto member = value_.find(key);
      if (member == value_.end()) continue;
      taken_.insert(key);
      if (found == nullptr && !member->is_null()) found = &*member;
    }
    return found;
  }
  std::string text(const Json& value, const char* what) {
    if (value.is_string()) return canonical_variables(value.get<std::string>());
    if (value.is_number() || value.is_boolean()) return dump_json(value);
    complain(std::string(what) + ": expected a text");
    return "";
  }
  std::string text_of(std::initializer_list<const char*> keys) {
    const Json* found = take(keys);
    return found != nullptr ? text(*found, *keys.begin()) : "";
  }
  std::vector<std::string> texts_of(std::initializer_list<const char*> keys) {
    std::vector<std::string> out;
    const Json* found = take(keys);
    if (found == nullptr) return out;
    if (!found->is_array()) {
      complain(std::string(*keys.begin()) + ": expected a list");
      return out;
    }
    for (const Json& one : *found) out.push_back(text(one, *keys.begin()));
    return out;
  }
  bool flag(const char* key, bool otherwise) {
    const Json* found = take({key});
    if (found == nullptr) return otherwise;
    if (!found->is_boolean()) complain(std::string(key) + ": expected true or false");
    return found->is_boolean() && found->get<bool>();
  }
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  // {"NAME": "value"} or ["NAME=value"].
  void add_pairs(Pairs& to, std::initializer_list<const char*> keys) {
    const Json* found = take(keys);
    if (found == nullptr) return;
    if (found->is_object()) {
      for (const auto& [name, value] : found->items())
        to.emplace_back(name, text(value, *keys.begin()));
    } else if (found->is_array()) {
      for (const Json& one : *found) {
        const std::string both = text(one, *keys.begin());
        const size_t equals = both.find('=');
        if (equals == std::string::npos || equals == 0)
          return complain(std::string(*keys.begin()) + ": expected NAME=VALUE");
        to.emplace_back(both.substr(0, equals), both.substr(equals + 1));
      }
    } else {
      complain(std::string(*keys.begin()) + ": expected an object");
    }
  }

  void read_switches() {
    const bool disabled = flag("disabled", false);
    out_.enabled = flag("enabled", true) && !disabled;
    if (value_.contains("required")) out_.required = flag("required", false);
    const std::string era = text_of({"protocolEra", "protocol"});
    if (era == "legacy") out_.era = Era::legacy;
    if (era == "modern") out_.era = Era::modern;
    const std::string kind = text_of({"type", "transport", "transportType"});
    if (kind == "http" || kind == "streamable-http" || kind == "streamableHttp" ||
        kind == "streamable_http") {
      out_.transport = TransportKind::http;
    } else if (kind == "sse") {
      out_.transport = TransportKind::sse;
    } else if (kind == "stdio" || kind == "local") {
      out_.transport = TransportKind::stdio;
    } else if (!kind.empty() && kind != "remote" && kind != "auto") {
      complain("type \"" + kind + "\" is not one of an MCP server");
    }
  }

  void read_program() {
    if (const Json* command = take({"command", "cmd"})) {
      if (command->is_array())
        for (const Json& one : *command) out_.command.push_back(text(one, "command"));
      else
        out_.command.push_back(text(*command, "command"));
    }
    for (std::string& argument : texts_of({"args"})) out_.command.push_back(std::move(argument));
    out_.cwd = text_of({"cwd"});
    add_pairs(out_.env, {"env", "environment", "envs"});
    for (const std::string& key : texts_of({"env_keys"}))
      out_.env.emplace_back(key, "${" + key + "}");
  }

  void read_address() {
    if (const Json* http = take({"httpUrl"})) {
      out_.url = text(*http, "httpUrl");
      out_.transport = TransportKind::http;
    }
    const std::string url = text_of({"url", "uri", "serverUrl"});
    if (out_.url.empty()) out_.url = url;
    add_pairs(out_.headers, {"headers", "http_headers", "requestInit"});
    Pairs from_env;
    add_pairs(from_env, {"env_http_headers"});
    for (const auto& [name, variable] : from_env)
      out_.headers.emplace_back(name, "${" + variable + "}");
    const std::string token = text_of({"bearer_token_env_var"});
    if (!token.empty()) out_.headers.emplace_back("Authorization", "Bearer ${" + token + "}");
  }

  std::optional<milliseconds> time(const char* key, int64_t unit_ms) {
    const Json* found = take({key});
    if (found == nullptr) return std::nullopt;
    if (!found->is_number() || found->get<double>() <= 0 || found->get<double>() > 1e9) {
      complain(std::string(key) + ": expected a number above 0");
      return std::nullopt;
    }
    const double value = found->get<double>();
    const double ms = unit_ms != 0 ? value * static_cast<double>(unit_ms)
                                   : value * (value <= kSecondsMax ? 1000 : 1);
    return milliseconds(std::clamp<int64_t>(static_cast<int64_t>(ms), 1, kTimeoutMaxMs));
  }

  void read_times() {
    out_.call_timeout = time("tool_timeout_sec", 1000);
    if (const auto general = time("timeout", 0); !out_.call_timeout) out_.call_timeout = general;
    out_.start_timeout = time("startup_timeout_sec", 1000);
    if (const auto init = time("initTimeout", 1); !out_.start_timeout) out_.start_timeout = init;
  }

  void read_tools() {
    out_.include_tools =
        texts_of({"includeTools", "enabled_tools", "include_tools", "available_tools"});
    out_.exclude_tools =
        texts_of({"excludeTools", "disabled_tools", "disabledTools", "exclude_tools"});
    out_.approved_tools = texts_of({"autoApprove", "alwaysAllow"});
    if (flag("trust", false)) out_.approved_tools = {"*"};
  }

  // A boolean, or what is known beforehand. Where to go, and for which scopes, the server says.
  void read_authorization() {
    const Json* oauth = take({"oauth", "auth"});
    const Json* wanted = take({"requiresOAuth"});
    if (oauth != nullptr && oauth->is_object()) {
      out_.authorize = true;
      for (const auto& [key, value] : oauth->items()) read_authorization(key, value);
    } else if (oauth != nullptr) {
      out_.authorize = *oauth == true || *oauth == "oauth";
      if (!out_.authorize && *oauth != false) ignore("oauth", "expected an object");
    }
    // What the user says wins over everything.
    if (wanted != nullptr && wanted->is_boolean()) out_.authorize = wanted->get<bool>();
    if (!out_.authorize || !out_.url.empty()) return;
    out_.authorize = false;
    ignore("oauth", "it belongs to url, this server is a program");
  }
  void read_authorization(const std::string& key, const Json& value) {
    if (value.is_null()) return;
    if (key == "clientId" || key == "client_id") {
      out_.client_id = text(value, "oauth.clientId");
    } else if (key == "clientSecret" || key == "client_secret") {
      out_.client_secret = text(value, "oauth.clientSecret");
    } else if (key == "redirectUri" || key == "redirect_uri") {
      out_.redirect_uri = text(value, "oauth.redirectUri");
    } else if (key == "callbackPort" && value.is_number_integer()) {
      out_.redirect_uri = "http://127.0.0.1:" + dump_json(value) + "/callback";
    } else if (key == "scope" || key == "scopes" || key == "authorizationUrl" ||
               key == "authorization_url" || key == "tokenUrl" || key == "token_url" ||
               key == "authServerMetadataUrl") {
      ignore("oauth." + key, "it is taken from what the server announces");
    } else {
      ignore("oauth." + key, "it is not understood");
    }
  }

  const Json& value_;
  ImportedServer out_;
  std::set<std::string> taken_;
};

std::string plain_name(std::string name) {
  for (char& c : name)
    if (std::isalnum(static_cast<unsigned char>(c)) == 0 && c != '_' && c != '-') c = '_';
  return name.empty() ? "server" : name;
}

// Names begin the names of tools. Those that are fine as they are keep them, whatever comes first.
void rename(std::vector<ImportedServer>& servers) {
  std::set<std::string> taken;
  for (const ImportedServer& server : servers) taken.insert(server.name);
  for (ImportedServer& server : servers) {
    std::string name = plain_name(server.name);
    if (name == server.name) continue;
    const std::string begin = name;
    for (int i = 2; !taken.insert(name).second; ++i) name = begin + "_" + std::to_string(i);
    server.warnings.push_back("the list calls it \"" + server.name + "\"");
    server.name = name;
  }
}

// The list itself, wherever it is.
const Json* find_list(const Json& document) {
  for (const char* root : kRoots) {
    const auto found = document.find(root);
    if (found == document.end() || !found->is_object()) continue;
    const auto inner = found->find("servers");  // VS Code settings: {"mcp": {"servers": ..}}
    if (std::string_view(root) == "mcp" && inner != found->end() && inner->is_object() &&
        !inner->contains("command") && !inner->contains("url"))
      return &*inner;
    return &*found;
  }
  for (const auto& [name, value] : document.items())
    if (!value.is_object() || (!value.contains("command") && !value.contains("url")))
      return nullptr;
  return document.empty() ? nullptr : &document;
}

}  // namespace

std::string without_comments(std::string_view text) {
  std::string out(text);
  size_t comma = std::string::npos;              // the last one, if only blanks followed it
  for (size_t i = 0; i < out.size(); ++i) {
    if (out[i] == '"') {
      comma = std::string::npos;
      for (++i; i < out.size() && out[i] != '"'; ++i)
        if (out[i] == '\\') ++i;
    } else if (out[i] == '/' && i + 1 < out.size() && (out[i + 1] == '/' || out[i + 1] == '*')) {
      const bool line = out[i + 1] == '/';
      const size_t end = line ? out.find('\n', i) : out.find("*/", i + 2);
      const size_t stop = end == std::string::npos ? out.size() : end + (line ? 0 : 2);
      for (; i < stop; ++i)
        if (out[i] != '\n') out[i] = ' ';
      --i;
    } else if (out[i] == ',') {
      comma = i;
    } else if (out[i] == '}' || out[i] == ']') {
      if (comma != std::string::npos) out[comma] = ' ';
      comma = std::string::npos;
    } else if (std::string_view(" \t\r\n").find(out[i]) == std::string_view::npos) {
      comma = std::string::npos;
    }
  }
  return out;
}

Result<std::vector<ImportedServer>> import_servers(std::string_view text, std::string_view name) {
  if (text.rfind("\xEF\xBB\xBF", 0) == 0) text.remove_prefix(3);
  SWARM_TRY(const Json document, parse_json(without_comments(text), name));
  return import_document(document, name);
}

Result<std::vector<ImportedServer>> import_toml(std::string_view text, std::string_view name) {
  SWARM_TRY(const Json document, parse_toml(text, std::string(name)));
  return import_document(document, name);
}

Result<std::vector<ImportedServer>> import_document(const Json& document, std::string_view name) {
  const Json* list = document.is_object() ? find_list(document) : nullptr;
  if (list == nullptr)
    return invalid_input(std::string(name) + ": expected a list of servers under mcpServers");
  std::vector<ImportedServer> out;
  for (const auto& [key, value] : list->items()) {
    if (value.is_object()) {
      out.push_back(Entry(key, value).read());
    } else {
      out.emplace_back();
      out.back().name = key;
      out.back().problem = "expected an object";
    }
  }
  rename(out);
  return out;
}

std::string what_it_runs(const ImportedServer& server) {
  if (server.command.empty()) return server.url;
  std::string out;
  for (const std::string& word : server.command)
    out += (out.empty() ? "" : " ") +
           (word.find_first_of(" \t\n\"'") == std::string::npos ? word : dump_json(Json(word)));
  if (!server.cwd.empty()) out += " (in " + server.cwd + ")";
  return out;
}

std::string fingerprint(const ImportedServer& server) {
  Json all = Json::object();
  all["command"] = server.command;
  all["cwd"] = server.cwd;
  all["url"] = server.url;
  std::set<std::string> env, headers;
  for (const auto& [name, value] : server.env) env.insert(name);
  for (const auto& [name, value] : server.headers) headers.insert(name);
  all["env"] = env;
  all["headers"] = headers;
  if (!server.approved_tools.empty()) all["approved"] = server.approved_tools;
  return base64url_encode(sha256(dump_json(all)));
}

Result<ServerConfig> resolve_server(const ImportedServer& server, const Variable& variable) {
  const std::string prefix = "mcp server \"" + server.name + "\": ";
  if (!server.problem.empty()) return invalid_input(prefix + server.problem);
  std::optional<Error> failure;
  const auto expanded = [&](const std::string& field, const std::string& text) -> std::string {
    const auto value = expand_variables(text, variable);
    if (value) return *value;
    if (!failure)
      failure = Error{.kind = value.error().kind,
                      .message = prefix + field + ": " + value.error().message};
    return "";
  };
  ServerConfig out;
  out.name = server.name;
  for (size_t i = 0; i < server.command.size(); ++i)
    out.command.push_back(
        expanded(i == 0 ? "command" : "args[" + std::to_string(i - 1) + "]", server.command[i]));
  for (const auto& [name, value] : server.env) out.env[name] = expanded("env." + name, value);
  for (const auto& [name, value] : server.headers)
    out.headers.emplace_back(name, expanded("headers." + name, value));
  out.cwd = expanded("cwd", server.cwd);
  out.url = expanded("url", server.url);
  out.transport = server.transport;
  out.era = server.era;
  if (server.start_timeout) out.start_timeout = *server.start_timeout;
  if (server.call_timeout) out.call_timeout = *server.call_timeout;
  out.include_tools = server.include_tools;
  out.exclude_tools = server.exclude_tools;
  if (server.authorize) {
    AuthOptions auth;
    auth.browser = true;
    auth.client_id = expanded("oauth.clientId", server.client_id);
    auth.client_secret = expanded("oauth.clientSecret", server.client_secret);
    auth.redirect_uri = expanded("oauth.redirectUri", server.redirect_uri);  // "" = a random port
    out.auth = std::make_shared<AuthOptions>(std::move(auth));  // shared by copies of the server
  }
  if (failure) return *failure;
  if (!out.url.empty())
    if (const auto url = parse_url(out.url); !url)
      return invalid_input(prefix + url.error().message);
  return out;
}

}  // namespace swarm::mcp
