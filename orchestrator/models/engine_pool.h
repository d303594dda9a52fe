// orchestrator/models/engine_pool.h — The engines of this process, one per configuration: models of
// one run, and runs one after another or at once, that ask for the same engine get the same, with
// its weights and what its KV cache remembers. Engines live as long as the pool or a user does.
// Thread-safe. Errors: those of Engine::open; a failed or cancelled opening is not remembered. An
// engine that lost its device stays: the driver gives this process no other context.
#pragma once

#include <condition_variable>
#include <list>
#include <memory>
#include <mutex>
#include <stop_token>

#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/config.h"
#include "orchestrator/models/engine_thread.h"

namespace swarm::models {

class EnginePool {
 public:
  // accelerator (null = the CPU alone) outlives the pool and its engines.
  explicit EnginePool(const engine::kernels::Accelerator* accelerator = nullptr)
      : accelerator_(accelerator) {}

  // Blocks while the engine opens, or while another caller opens the same one; a requested stop
  // ends both with ErrorKind::cancelled. clock outlives the engines.
  Result<std::shared_ptr<EngineThread>> open(const engine::EngineConfig& config,
                                             const Clock& clock, std::stop_token stop = {});

 private:
  struct Entry {
    engine::EngineConfig config;
    std::shared_ptr<EngineThread> thread;   // null while it opens
  };
  Entry* find(const engine::EngineConfig& config);

  const engine::kernels::Accelerator* accelerator_;
  std::mutex mutex_;                        // guards the entries
  std::condition_variable_any opened_;
  std::list<Entry> entries_;                // a list: an entry stays where it is while it opens
};

}  // namespace swarm::models
