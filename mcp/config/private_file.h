// mcp/config/private_file.h — Files that only their owner may read: approvals, tokens, lists,
// recordings.
// Blocking; several processes may use one file, the last writer wins.
#pragma once

#include <string>

#include "engine/base/error.h"
#include "engine/base/json.h"

namespace swarm::mcp {

// Mode 0600, its folder made when it is missing. Written beside and renamed: a reader sees the old
// or the new file, never half of one.
Result<void> write_private_file(const std::string& path, const std::string& text);

// An empty file of mode 0600 for writing, its folder made when it is missing. The caller closes it.
// After an error errno is set.
Result<int> create_private_file(const std::string& path);

// False, with errno set, when not all of it could be written.
bool write_all(int fd, const std::string& text);

// null for a file that is not there, cannot be read or is not one JSON object.
Json read_private_json(const std::string& path);

}  // namespace swarm::mcp
