// orchestrator/cli/engine_options.h — The flags of commands that open an engine of their own.
#pragma once

#include "engine/config.h"

namespace CLI {
class App;
}

namespace swarm::cli {

// --model --device --isa --threads --kv --kv-bytes --ctx --page-tokens --max-running
// --batch-tokens. config outlives the app; validate() is left to Engine::open.
void add_engine_options(CLI::App& app, engine::EngineConfig& config);

}  // namespace swarm::cli
