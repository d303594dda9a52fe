#include "mcp/approvals.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace swarm::mcp {
namespace {

std::string key_of(const std::string& origin, const ImportedServer& server) {
  return origin + "\n" + server.name;
}

Error cannot_write(const std::string& file) {
  return environment_error("cannot write \"" + file + "\": " + std::strerror(errno));
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
  const std::string text = dump_json(all) + "\n";
  const std::filesystem::path path(file_);
  std::error_code ignored;
  if (path.has_parent_path()) std::filesystem::create_directories(path.parent_path(), ignored);
  const std::string next = file_ + ".new";
  const int fd = ::open(next.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return cannot_write(next);
  const ssize_t written = ::write(fd, text.data(), text.size());
  ::close(fd);
  if (written != static_cast<ssize_t>(text.size())) return cannot_write(next);
  if (std::rename(next.c_str(), file_.c_str()) != 0) return cannot_write(file_);
  return {};
}

}  // namespace swarm::mcp
