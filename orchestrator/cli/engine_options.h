// orchestrator/cli/engine_options.h — The flags of commands that open an engine of their own.
#pragma once

#include <memory>
#include <string>

#include "engine/engine.h"
#include "orchestrator/cli/commands.h"

namespace CLI {
class App;
}

namespace swarm::cli {

// --model --device --isa --threads --kv --kv-bytes --ctx --page-tokens --max-running
// --batch-tokens. config outlives the app; validate() is left to Engine::open.
void add_engine_options(CLI::App& app, engine::EngineConfig& config);

// Engine::open; what is wrong is told in the words of the flags.
Result<std::unique_ptr<engine::Engine>> open_engine(const engine::EngineConfig& config,
                                                    const CommandContext& context);

// "q8_0" for both, "q8_0/q4_0" or "q8_0,q4_0" for K and V apart. Not checked.
struct KvTypeNames {
  std::string k;
  std::string v;
};
KvTypeNames split_kv_types(const std::string& text);

}  // namespace swarm::cli
