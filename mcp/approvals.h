// mcp/approvals.h — Which servers of a project's list somebody has agreed to start. A server
// that changes what it runs or reaches (fingerprint) must be agreed to again. A small JSON file,
// mode 0600; one writer at a time is enough, the last one wins.
#pragma once

#include <map>
#include <string>

#include "engine/base/error.h"
#include "mcp/import.h"

namespace swarm::mcp {

class Approvals {
 public:
  enum class Verdict : uint8_t { approved, unknown, changed };

  // A file that does not exist has no approvals; one that cannot be read is an error.
  static Result<Approvals> load(const std::string& file);
  // origin: the list's path.
  Verdict verdict(const std::string& origin, const ImportedServer& server) const;
  void approve(const std::string& origin, const ImportedServer& server);
  Result<void> save() const;

 private:
  std::string file_;
  std::map<std::string, std::string> fingerprints_;  // "origin\nname" -> fingerprint
};

}  // namespace swarm::mcp
