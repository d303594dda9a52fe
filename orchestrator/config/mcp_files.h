// orchestrator/config/mcp_files.h — Server lists of other programs (mcp_files) as entries of `mcp`,
// before ${...} is evaluated: their ${NAME} becomes ${env.NAME}, so that values stay out of the
// record.
#pragma once

#include <string>
#include <vector>

#include "engine/base/error.h"
#include "mcp/import.h"
#include "orchestrator/config/node.h"
#include "orchestrator/config/yaml.h"

namespace swarm::config {

// One list: JSON with comments or, by its extension, TOML, or YAML, whose mistakes of syntax are
// problems. Its text is added to the sources.
Result<std::vector<mcp::ImportedServer>> read_mcp_list(const std::string& path, Sources& sources,
                                                       std::vector<Problem>& problems);

// What the file itself says wins; of two lists, the first. A server that is off, or of which a
// variable is not set, is left out: the latter with a warning.
void import_mcp_files(Node& document, const std::string& directory, Sources& sources,
                      std::vector<Problem>& problems, std::vector<std::string>& warnings);

}  // namespace swarm::config
