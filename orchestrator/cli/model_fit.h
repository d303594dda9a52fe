// orchestrator/cli/model_fit.h — swarm model fit: does a model fit into the memory of a device.
#pragma once

#include "orchestrator/cli/commands.h"

namespace swarm::cli {

// Adds "fit" to the commands of `model`.
void register_model_fit(CLI::App& model, CommandContext& context);

}  // namespace swarm::cli
