#include "orchestrator/models/engine_thread.h"

#include <utility>

#include "engine/base/check.h"

namespace swarm::models {
namespace {

Error queue_full(size_t jobs_max) {
  return Error{ErrorKind::overloaded, "the engine's queue is full: " + std::to_string(jobs_max) +
                                          " requests wait (engine.queue_depth_max)"};
}

}  // namespace

Result<std::unique_ptr<EngineThread>> EngineThread::start(
    const engine::EngineConfig& config, const Clock& clock, std::stop_token stop,
    const engine::kernels::Accelerator* accelerator) {
  SWARM_TRY(std::unique_ptr<engine::Engine> engine,
            engine::Engine::open(config, clock, std::move(stop), accelerator));
  SWARM_TRY(std::shared_ptr<const engine::ChatCodec> codec, engine->chat());
  return std::make_unique<EngineThread>(Token{}, std::move(engine), std::move(codec),
                                        static_cast<size_t>(config.queue_depth_max));
}

EngineThread::EngineThread(Token, std::unique_ptr<engine::Engine> engine,
                           std::shared_ptr<const engine::ChatCodec> codec, size_t jobs_max)
    : engine_(std::move(engine)), codec_(std::move(codec)), info_(engine_->info()),
      jobs_max_(jobs_max), stats_(engine_->stats()), thread_([this] { run(); }) {}

EngineThread::~EngineThread() {
  {
    const std::lock_guard lock(mutex_);
    stopping_ = true;
  }
  wake_.notify_one();
  thread_.join();
}

void EngineThread::submit(std::vector<Job> jobs) {
  {
    const std::lock_guard lock(mutex_);
    for (Job& job : jobs) {
      if (jobs_.size() < jobs_max_)
        jobs_.push_back(std::move(job));
      else
        deliver(*job.channel, Progress{.tokens = {}, .refused = queue_full(jobs_max_)});
    }
  }
  wake_.notify_one();
}

void EngineThread::cancel(uint64_t ticket) {
  {
    const std::lock_guard lock(mutex_);
    cancels_.push_back(ticket);
  }
  wake_.notify_one();
}

void EngineThread::hint(Hint hint) {
  {
    const std::lock_guard lock(mutex_);
    hints_.push_back(std::move(hint));
  }
  wake_.notify_one();
}

void EngineThread::forget(std::vector<engine::TokenId> tokens, int32_t from) {
  hint([tokens = std::move(tokens), from](engine::Engine& engine) { engine.forget(tokens, from); });
}

void EngineThread::unpin(uint64_t owner) {
  hint([owner](engine::Engine& engine) { engine.unpin(owner); });
}

engine::EngineStats EngineThread::stats() const {
  const std::lock_guard lock(mutex_);
  return stats_;
}

void EngineThread::run() {
  while (true) {
    std::vector<Job> jobs;
    std::vector<uint64_t> cancels;
    std::vector<Hint> hints;
    {
      std::unique_lock lock(mutex_);
      wake_.wait(lock, [this] {
        return stopping_ || !jobs_.empty() || !cancels_.empty() || !hints_.empty() ||
               !engine_->idle();
      });
      if (stopping_) break;
      jobs.swap(jobs_);
      cancels.swap(cancels_);
      hints.swap(hints_);
    }
    if (!hints.empty()) follow(hints);
    admit(std::move(jobs));
    for (uint64_t ticket : cancels) cancel_now(ticket);
    if (!engine_->idle()) step();
  }
  // Every request that entered leaves with an answer.
  std::vector<Job> late;
  {
    const std::lock_guard lock(mutex_);
    late.swap(jobs_);
  }
  admit(std::move(late));
  std::vector<uint64_t> open;
  for (const auto& [ticket, id] : ids_) open.push_back(ticket);
  for (uint64_t ticket : open) cancel_now(ticket);
  while (!engine_->idle()) step();
}

void EngineThread::follow(const std::vector<Hint>& hints) {
  for (const Hint& one : hints) one(*engine_);
  const std::lock_guard lock(mutex_);
  stats_ = engine_->stats();
}

void EngineThread::admit(std::vector<Job> jobs) {
  for (Job& job : jobs) {
    const Result<engine::RequestId> id = engine_->submit(std::move(job.request));
    if (!id) {
      deliver(*job.channel, Progress{.tokens = {}, .refused = id.error()});
      continue;
    }
    ids_[job.ticket] = id->value;
    live_[id->value] = Live{job.ticket, std::move(job.channel)};
  }
}

void EngineThread::cancel_now(uint64_t ticket) {
  const auto found = ids_.find(ticket);
  if (found != ids_.end()) engine_->cancel(engine::RequestId{found->second});
}

void EngineThread::step() {
  std::map<uint64_t, Progress> progress;
  const engine::Engine::Began began = [this](engine::RequestId id) {
    deliver(*live_.at(id.value).channel, Progress{.tokens = {}, .prefill = true});
  };
  for (const engine::Output& output : engine_->step(began)) {
    Progress& mine = progress[output.id.value];
    if (output.token >= 0) mine.tokens.push_back(output.token);
    if (output.token >= 0 && output.forced) ++mine.forced_tokens;
    if (output.finish == engine::Finish::none) continue;
    mine.finish = output.finish;
    mine.report = output.report;
    mine.error = output.error;
    mine.error_kind = output.error_kind;
  }
  {
    // Before anybody hears of an end: who then asks must not find the request still running.
    const std::lock_guard lock(mutex_);
    stats_ = engine_->stats();
  }
  for (auto& [id, mine] : progress) {
    const auto found = live_.find(id);
    SWARM_CHECK(found != live_.end(), id);
    const bool last = mine.finish != engine::Finish::none;
    deliver(*found->second.channel, std::move(mine));
    if (!last) continue;
    ids_.erase(found->second.ticket);
    live_.erase(found);
  }
}

void EngineThread::deliver(ProgressChannel& channel, Progress progress) {
  // A receiver that went away has closed its channel.
  const bool sent = channel.try_send(std::move(progress));
  SWARM_CHECK(sent || !channel.is_open());
}

}  // namespace swarm::models
