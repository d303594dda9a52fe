#include "orchestrator/models/yaml_words.h"

#include <utility>

namespace swarm::models {

Error in_swarm_file(Error error, const std::string& model) {
  const std::pair<std::string, std::string> words[] = {
      {"engine.model", "models." + model + ".weights"},
      {"engine.context_max", "models." + model + ".context"},
      {"engine.kv_bytes_max", "engine.kv_memory"}};
  for (const auto& [field, key] : words)
    for (size_t at = 0; (at = error.message.find(field, at)) != std::string::npos;
         at += key.size())
      error.message.replace(at, field.size(), key);
  return error;
}

}  // namespace swarm::models
