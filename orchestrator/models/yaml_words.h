// orchestrator/models/yaml_words.h — Errors of the engine in the words of a swarm file. Pure
// function.
#pragma once

#include <string>

#include "engine/base/error.h"

namespace swarm::models {

// "engine.context_max" is models.NAME.context there, and so on; other keys are called the same.
Error in_swarm_file(Error error, const std::string& model);

}  // namespace swarm::models
