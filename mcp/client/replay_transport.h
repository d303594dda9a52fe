// mcp/client/replay_transport.h — A server that is a recording: every request is answered with what
// was recorded for it, a request that was not recorded fails and says so. Nothing is started.
#pragma once

#include <memory>

#include "engine/base/async/channel.h"
#include "mcp/client/recording.h"
#include "mcp/transport/transport.h"

namespace swarm::mcp {

class ReplayTransport final : public Transport {
 public:
  explicit ReplayTransport(std::shared_ptr<Replay> replay)
      : replay_(std::move(replay)), closing_(0), replies_(kRepliesMax) {}

  void open(Events& events) override { events_ = &events; }
  Async<> run() override;
  Async<Delivered> request(Outgoing message) override;
  Async<> send(Outgoing message) override;
  bool post(Outgoing message) override;
  Async<> close() override;

 private:
  static constexpr size_t kRepliesMax = 256;  // more are not waited for

  void play(const Replay::Step& step, int64_t id);

  const std::shared_ptr<Replay> replay_;   // shared with the next connection of the client
  Events* events_ = nullptr;               // set by open(), outlives us
  Channel<bool> closing_;
  Channel<bool> replies_;                  // one for each answer of ours
};

}  // namespace swarm::mcp
