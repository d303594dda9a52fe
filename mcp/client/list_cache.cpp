#include "mcp/client/list_cache.h"

#include "mcp/auth/crypto.h"
#include "mcp/config/private_file.h"
#include "mcp/message/json_member.h"

namespace swarm::mcp {
namespace {

constexpr int kCacheFormat = 1;
constexpr size_t kHashInName = 16;

std::string file_of(const ServerConfig& server) {
  return server.list_cache + "/" + server.name + "-" +
         config_hash(server).substr(0, kHashInName) + ".json";
}

}  // namespace

std::string config_hash(const ServerConfig& server) {
  Json all = Json::object();
  all["name"] = server.name;
  all["command"] = server.command;
  all["env"] = server.env;
  all["cwd"] = server.cwd;
  all["url"] = server.url;
  all["headers"] = Json::array();
  for (const auto& [name, value] : server.headers) all["headers"].push_back(name);
  all["transport"] = static_cast<int>(server.transport);
  all["era"] = static_cast<int>(server.era);
  all["legacy_version"] = server.legacy_version;
  return base64url_encode(sha256(dump_json(all)));
}

std::optional<Offer> load_offer(const ServerConfig& server) {
  if (server.list_cache.empty()) return std::nullopt;
  const Json kept = read_private_json(file_of(server));
  if (!kept.is_object() || !kept.contains("format") || kept.at("format") != kCacheFormat ||
      text_member(kept, "config") != config_hash(server))
    return std::nullopt;
  const auto tools = kept.find("tools");
  if (tools == kept.end() || !tools->is_array()) return std::nullopt;
  Offer out;
  const Json info = object_member(kept, "server");
  out.info.name = text_member(info, "name");
  out.info.version = text_member(info, "version");
  out.info.protocol_version = text_member(info, "protocol");
  out.info.instructions = text_member(info, "instructions");
  out.capabilities = object_member(kept, "capabilities");
  out.tools.assign(tools->begin(), tools->end());
  return out;
}

Result<void> save_offer(const ServerConfig& server, const Offer& offer) {
  if (server.list_cache.empty()) return {};
  Json kept = Json::object();
  kept["format"] = kCacheFormat;
  kept["config"] = config_hash(server);
  kept["server"] = Json{{"name", offer.info.name},
                        {"version", offer.info.version},
                        {"protocol", offer.info.protocol_version},
                        {"instructions", offer.info.instructions}};
  kept["capabilities"] = offer.capabilities;
  kept["tools"] = offer.tools;
  return write_private_file(file_of(server), dump_json(kept) + "\n");
}

}  // namespace swarm::mcp
