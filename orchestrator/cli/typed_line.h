// orchestrator/cli/typed_line.h — What the person at the terminal types, a line at a time, while
// other things of the program go on. Several may want to ask; one does at a time: whoever puts a
// question holds the Desk for it. One strand.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "engine/base/async/channel.h"
#include "engine/base/async/task.h"

namespace swarm::cli {

class Desk {
 public:
  // show: prints a line; answered: called after each line that was read.
  Desk(std::function<void(const std::string& line)> show, std::function<void()> answered)
      : show_(std::move(show)), answered_(std::move(answered)), turns_(1) {
    turns_.try_send(true);
  }

  void show(const std::string& line) const { show_(line); }
  // The next line without its end; nullopt at the end of the input. Cancelling it leaves the
  // terminal as it was.
  Async<std::optional<std::string>> read();

  // Held by whoever asks; what was typed before it answers nothing.
  class Turn {
   public:
    explicit Turn(Channel<bool>& turns) : turns_(&turns) {}
    Turn(Turn&& other) noexcept : turns_(std::exchange(other.turns_, nullptr)) {}
    Turn& operator=(Turn&&) = delete;
    ~Turn() {
      if (turns_ != nullptr) turns_->try_send(true);
    }

   private:
    Channel<bool>* turns_;
  };
  Async<Turn> turn();

 private:
  const std::function<void(const std::string& line)> show_;
  const std::function<void()> answered_;
  Channel<bool> turns_;
};

}  // namespace swarm::cli
