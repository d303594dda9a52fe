#include "orchestrator/models/engine_pool.h"

#include <algorithm>
#include <exception>
#include <utility>

namespace swarm::models {
namespace {

// An opening that throws would leave its entry "opening", and whoever waits for it waiting.
Result<std::unique_ptr<EngineThread>> start_thread(
    const engine::EngineConfig& config, const Clock& clock, std::stop_token stop,
    const engine::kernels::Accelerator* accelerator) try {
  return EngineThread::start(config, clock, std::move(stop), accelerator);
} catch (const std::exception& error) {
  return environment_error(config.model + ": " + error.what());
}

}  // namespace

EnginePool::Entry* EnginePool::find(const engine::EngineConfig& config) {
  const auto found = std::ranges::find(entries_, config, &Entry::config);
  return found == entries_.end() ? nullptr : &*found;
}

Result<std::shared_ptr<EngineThread>> EnginePool::open(const engine::EngineConfig& config,
                                                       const Clock& clock, std::stop_token stop) {
  std::unique_lock lock(mutex_);
  const auto settled = [&] {
    const Entry* entry = find(config);
    return entry == nullptr || entry->thread != nullptr;
  };
  if (!opened_.wait(lock, stop, settled))
    return Error{ErrorKind::cancelled, config.model + ": opening the model was stopped"};
  if (const Entry* entry = find(config)) return entry->thread;
  entries_.push_back({.config = config, .thread = nullptr});
  lock.unlock();
  auto started = start_thread(config, clock, std::move(stop), accelerator_);
  lock.lock();
  Entry* entry = find(config);              // nobody else removes an entry that opens
  if (started) entry->thread = std::move(*started);
  Result<std::shared_ptr<EngineThread>> out =
      started ? Result<std::shared_ptr<EngineThread>>(entry->thread) : started.error();
  if (!started) entries_.remove_if([entry](const Entry& one) { return &one == entry; });
  opened_.notify_all();
  return out;
}

}  // namespace swarm::models
