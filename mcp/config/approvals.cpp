#include "mcp/approvals.h"

#include <filesystem>
#include <fstream>
#include <iterator>

#include "mcp/config/private_file.h"

namespace swarm::mcp {
namespace {

std::string key_of(const std::string& origin, const ImportedServer& server) {
  return origin + "\n" + server.name;
}

}  // namespace

Result<Approvals> Approvals::load(const std::string& file) {
  Approvals out;
  out.file_ = file;
  std::error_code ignored;
  if (!std::filesystem::exists(file, ignored)) return out;
  std::ifstream in(file, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(in), {}};
  SWARM_TRY(const Json all, parse_json(text, file));
  if (!in || !all.is_object()) return environment_error("cannot read \"" + file + "\"");
  for (const auto& [key, value] : all.items())
    if (value.is_string()) out.fingerprints_[key] = value.get<std::string>();
  return out;
}

Approvals::Verdict Approvals::verdict(const std::string& origin,
                                      const ImportedServer& server) const {
  const auto found = fingerprints_.find(key_of(origin, server));
  if (found == fingerprints_.end()) return Verdict::unknown;
  return found->second == fingerprint(server) ? Verdict::approved : Verdict::changed;
}

void Approvals::approve(const std::string& origin, const ImportedServer& server) {
  fingerprints_[key_of(origin, server)] = fingerprint(server);
}

Result<void> Approvals::save() const {
  Json all = Json::object();
  for (const auto& [key, value] : fingerprints_) all[key] = value;
  return write_private_file(file_, dump_json(all) + "\n");
}

}  // namespace swarm::mcp
