// mcp/client/skills.h — Is a skill's file what its entry promised? (extension
// io.modelcontextprotocol/skills). Pure functions over untrusted input; they never throw.
#pragma once

#include <string>

#include "engine/base/error.h"
#include "engine/base/json.h"

namespace swarm::mcp {

// The bytes of resources/read for one URI: text, or blob decoded.
Result<std::string> resource_bytes(const Json& result);

// entry: {uri, frontmatter, resources: [{uri, digest, size}]}. Size and digest ("sha256:" and hex)
// of the file, which must be listed; of SKILL.md also the frontmatter, field by field.
Result<void> verify_skill_file(const Json& entry, const std::string& uri,
                               const std::string& bytes);

// The YAML between the first two lines "---": plain or quoted texts only. Anything else is an
// error, since it could not be compared.
Result<Json> parse_frontmatter(const std::string& text);

}  // namespace swarm::mcp
