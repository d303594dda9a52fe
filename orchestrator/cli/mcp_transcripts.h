// orchestrator/cli/mcp_transcripts.h — The journals of one swarm's runs as MCP resources,
// swarm://runs/{id}. Those made by this server are listed, newest first; any other run of the same
// swarm in the journal folder can be read by its id, runs of other swarms cannot. One strand.
#pragma once

#include <deque>
#include <string>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/json.h"

namespace swarm::cli {

class Transcripts {
 public:
  Transcripts(std::string swarm, std::string journal_dir)
      : swarm_(std::move(swarm)), journal_dir_(std::move(journal_dir)) {}

  static Json definition();                // of the template
  static std::string uri(const std::string& run);
  // What a result says about where its journal is: {"type": "resource_link", ...}.
  static Json link(const std::string& run);

  void add(const std::string& run);
  std::vector<Json> list() const;          // definitions of resources
  std::vector<std::string> complete(const std::string& begin) const;  // run ids
  // The contents of one. invalid_input when there is no such run of this swarm.
  Result<Json> read(const std::string& uri) const;

 private:
  const std::string swarm_, journal_dir_;
  std::deque<std::string> runs_;           // newest first
};

}  // namespace swarm::cli
