#include "orchestrator/config/mcp_files.h"

#include <cstdlib>
#include <filesystem>
#include <optional>

#include "engine/base/text_file.h"
#include "engine/base/utf8.h"
#include "orchestrator/config/repetitions.h"

namespace swarm::config {
namespace {

namespace fs = std::filesystem;

std::optional<std::string> variable(const std::string& name) {
  const char* value = std::getenv(name.c_str());
  return value != nullptr ? std::optional<std::string>(value) : std::nullopt;
}

// In the language of this file. Defaults that stand in are literal text.
Result<std::string> as_expression(const std::string& text) {
  SWARM_TRY(const std::vector<mcp::TextPart> parts, mcp::parse_variables(text));
  std::string out;
  for (const mcp::TextPart& part : parts) {
    const auto value = part.name.empty() ? std::nullopt : variable(part.name);
    if (part.name.empty()) {
      out += part.literal;
    } else if (value && (!value->empty() || !part.otherwise)) {
      out += "${env." + part.name + "}";
    } else if (part.otherwise) {
      out += *part.otherwise;
    } else {
      return environment_error("variable \"" + part.name + "\" is not set");
    }
  }
  return out;
}

const char* transport_name(mcp::TransportKind kind) {
  switch (kind) {
    case mcp::TransportKind::stdio: return "stdio";
    case mcp::TransportKind::http: return "http";
    case mcp::TransportKind::sse: return "sse";
    case mcp::TransportKind::automatic: break;
  }
  return "auto";
}

// Texts of one server, the first failure with its field.
class Translator {
 public:
  explicit Translator(std::string folder) : folder_(std::move(folder)) {}

  Json entry(const mcp::ImportedServer& server) {
    Json out = Json::object();
    for (const std::string& word : server.command) out["command"].push_back(text("command", word));
    if (!server.command.empty()) out["command"][0] = moved(out["command"][0].get<std::string>());
    for (const auto& [name, value] : server.env) out["env"][name] = text("env." + name, value);
    for (const auto& [name, value] : server.headers)
      out["headers"][name] = text("headers." + name, value);
    if (!server.cwd.empty()) out["cwd"] = moved(text("cwd", server.cwd) + "/");
    if (!server.url.empty()) out["url"] = text("url", server.url);
    if (!server.url.empty()) out["transport"] = transport_name(server.transport);
    if (server.era == mcp::Era::modern) out["protocol"] = "modern";
    if (server.era == mcp::Era::legacy) out["protocol"] = "legacy";
    if (server.start_timeout)
      out["start_timeout"] = std::to_string(server.start_timeout->count()) + "ms";
    if (server.call_timeout)
      out["call_timeout"] = std::to_string(server.call_timeout->count()) + "ms";
    if (!server.include_tools.empty()) out["include_tools"] = server.include_tools;
    if (!server.exclude_tools.empty()) out["exclude_tools"] = server.exclude_tools;
    if (!server.approved_tools.empty()) out["approved_tools"] = server.approved_tools;
    if (server.required) out["required"] = *server.required;
    if (server.authorize) out["auth"] = authorization(server);
    return out;
  }
  const std::string& failure() const { return failure_; }

 private:
  Json authorization(const mcp::ImportedServer& server) {
    Json out = Json::object();
    const auto add = [&](const char* key, const std::string& value) {
      if (!value.empty()) out[key] = text(std::string("oauth.") + key, value);
    };
    add("client_id", server.client_id);
    add("client_secret", server.client_secret);
    add("redirect_uri", server.redirect_uri);
    return out;
  }
  std::string text(const std::string& field, const std::string& value) {
    const auto out = as_expression(value);
    if (out) return *out;
    if (failure_.empty()) failure_ = field + ": " + out.error().message;
    return "";
  }
  // A relative path belongs to the folder of the list; a bare word is looked up by the system.
  std::string moved(const std::string& path) const {
    const bool relative = path.find('/') != std::string::npos && path[0] != '/' && path[0] != '$';
    return relative ? fs::absolute(fs::path(folder_) / path).lexically_normal().string() : path;
  }

  const std::string folder_;
  std::string failure_;
};

// Unless the name is taken.
void add_server(Node& document, const Place& place, const std::string& name, const Json& entry) {
  Node* own = document.find("mcp");
  if (own == nullptr) {
    document.fields.push_back({"mcp", place, from_json(Json::object(), place)});
    own = &document.fields.back().value;
  }
  if (own->kind == Node::Kind::map && own->find(name) == nullptr)
    own->fields.push_back({name, place, from_json(entry, place)});
}

}  // namespace

Result<std::vector<mcp::ImportedServer>> read_mcp_list(const std::string& path, Sources& sources,
                                                       std::vector<Problem>& problems) {
  SWARM_TRY(const std::string text, read_text_file(path));
  const std::string extension = fs::path(path).extension().string();
  if (extension != ".yaml" && extension != ".yml") {
    sources[path] = utf8_sanitize(text);     // where mistakes are shown
    return extension == ".toml" ? mcp::import_toml(text, path) : mcp::import_servers(text, path);
  }
  const Node node = parse_yaml(text, path, fs::path(path).parent_path().string(), sources,
                               problems);
  return mcp::import_document(to_json(node), path);
}

void import_mcp_files(Node& document, const std::string& directory, Sources& sources,
                      std::vector<Problem>& problems, std::vector<std::string>& warnings) {
  const Node* named = document.kind == Node::Kind::map ? document.find("mcp_files") : nullptr;
  if (named == nullptr || named->kind != Node::Kind::list) return;  // the schema says what is wrong
  const Node files = *named;
  check_repeated(files, "mcp_files", problems);
  for (const Node& file : files.items) {
    if (!file.is_text()) continue;
    const fs::path path = fs::path(file.text()).is_absolute() ? fs::path(file.text())
                                                              : fs::path(directory) / file.text();
    const auto servers = read_mcp_list(path.string(), sources, problems);
    if (!servers) {
      const Error& error = servers.error();
      const bool placed = error.location.line > 0;
      problems.push_back({placed ? error.message : "mcp_files: " + error.message,
                          placed ? Place{error.location} : file.place, error.kind});
      continue;
    }
    for (const mcp::ImportedServer& server : *servers) {
      const std::string about = path.string() + ": mcp server \"" + server.name + "\": ";
      for (const std::string& warning : server.warnings) warnings.push_back(about + warning);
      if (!server.enabled) {
        add_server(document, file.place, server.name, Json{{"disabled", true}});
        continue;
      }
      Translator translator(path.parent_path().string());
      const Json entry = translator.entry(server);
      const std::string problem =
          server.problem.empty() ? translator.failure() : server.problem;
      if (!problem.empty()) {
        warnings.push_back(about + problem + "; it is left out");
        continue;
      }
      add_server(document, file.place, server.name, entry);
    }
  }
  std::erase_if(document.fields, [](const Node::Field& f) { return f.key == "mcp_files"; });
}

}  // namespace swarm::config
