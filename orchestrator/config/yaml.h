// orchestrator/config/yaml.h — YAML text to Nodes: the only doorway to the YAML library.
// Text that is not UTF-8, duplicate keys, unknown tags and documents beyond the limits are problems
// with a place. The tag !file PATH is replaced by the file's text; files named *.json, *.yaml and
// *.yml by their content.
#pragma once

#include <map>
#include <string>
#include <vector>

#include "orchestrator/config/node.h"

namespace swarm::config {

struct YamlLimits {
  size_t bytes_max = size_t{4} << 20;
  size_t nodes_max = 200'000;      // after aliases are expanded
  size_t depth_max = 64;
};

// Texts by file name, for carets.
using Sources = std::map<std::string, std::string>;

// name: what the text is called in places; directory: where relative !file paths begin.
// Problems are appended; the node is usable as far as it was understood.
Node parse_yaml(const std::string& text, const std::string& name, const std::string& directory,
                Sources& sources, std::vector<Problem>& problems, YamlLimits limits = {});

// "the byte 0xff": what stands where UTF-8 was expected.
std::string byte_text(char byte);

// The type of a plain scalar under the YAML core schema: null, true/false, integer, number, text.
Json plain_scalar(const std::string& text);

}  // namespace swarm::config
