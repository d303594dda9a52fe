// orchestrator/models/engine_thread.h — The one thread that owns an Engine and its step loop.
// Commands enter through one queue, in whole batches; outputs leave through one bounded channel
// per request, on the executor of its receiver. All public members are thread-safe.
// The thread sleeps while the engine is idle. Destruction cancels everything and joins.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <stop_token>
#include <string>
#include <thread>
#include <vector>

#include "engine/base/async/channel.h"
#include "engine/base/clock.h"
#include "engine/base/error.h"
#include "engine/chat.h"
#include "engine/engine.h"

namespace swarm::models {

// What one step brought for one request, or that its prompt is being read now.
struct Progress {
  std::vector<engine::TokenId> tokens;
  int32_t forced_tokens = 0;                     // of tokens: not decoded
  engine::Finish finish = engine::Finish::none;  // != none in the last one
  engine::Report report = {};
  std::string error = {};
  ErrorKind error_kind = ErrorKind::failed;      // environment: the device is lost
  std::optional<Error> refused = std::nullopt;   // submit() said no; the last one
  bool prefill = false;                          // it has left the queue
};

using ProgressChannel = Channel<Progress>;

class EngineThread {
  struct Token {};  // construction goes through start()

 public:
  EngineThread(Token, std::unique_ptr<engine::Engine> engine,
               std::shared_ptr<const engine::ChatCodec> codec, size_t jobs_max);
  // Opens the engine (on the calling thread: errors come back here) and starts the thread.
  // clock and accelerator (see Engine::open) outlive it.
  static Result<std::unique_ptr<EngineThread>> start(
      const engine::EngineConfig& config, const Clock& clock, std::stop_token stop = {},
      const engine::kernels::Accelerator* accelerator = nullptr);
  ~EngineThread();
  EngineThread(const EngineThread&) = delete;
  EngineThread& operator=(const EngineThread&) = delete;

  struct Job {
    uint64_t ticket = 0;                         // from next_ticket()
    engine::Request request;
    // Shared by the receiver and this thread; room for every progress of the request.
    std::shared_ptr<ProgressChannel> channel;
  };

  uint64_t next_ticket() { return ++ticket_; }
  // All jobs reach the engine between the same two steps. Jobs that the queue (as long as the
  // engine's own, queue_depth_max) has no room for are refused as overloaded.
  void submit(std::vector<Job> jobs);
  void cancel(uint64_t ticket);                  // idempotent, also for unknown tickets
  // Engine::forget and Engine::unpin, between two steps and before jobs that are submitted later.
  void forget(std::vector<engine::TokenId> tokens, int32_t from);
  void unpin(uint64_t owner);

  const engine::ModelInfo& info() const { return info_; }
  const engine::ChatCodec& codec() const { return *codec_; }
  engine::EngineStats stats() const;             // of the last step

 private:
  void run();
  using Hint = std::function<void(engine::Engine&)>;
  void hint(Hint hint);
  void follow(const std::vector<Hint>& hints);
  void admit(std::vector<Job> jobs);
  void cancel_now(uint64_t ticket);
  void step();
  static void deliver(ProgressChannel& channel, Progress progress);

  std::unique_ptr<engine::Engine> engine_;       // engine thread only
  std::shared_ptr<const engine::ChatCodec> codec_;  // shared with the engine
  engine::ModelInfo info_;
  std::atomic<uint64_t> ticket_{0};

  struct Live {
    uint64_t ticket = 0;
    std::shared_ptr<ProgressChannel> channel;
  };
  std::map<uint64_t, Live> live_;                // by request id; engine thread only
  std::map<uint64_t, uint64_t> ids_;             // ticket -> request id; engine thread only

  mutable std::mutex mutex_;                     // guards the members below
  std::condition_variable wake_;
  const size_t jobs_max_;
  std::vector<Job> jobs_;
  std::vector<uint64_t> cancels_;
  std::vector<Hint> hints_;
  bool stopping_ = false;
  engine::EngineStats stats_;

  std::thread thread_;                           // last: ends before what it uses
};

}  // namespace swarm::models
