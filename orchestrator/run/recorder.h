// orchestrator/run/recorder.h — One stream of events: into the journal first, then to the listener
// (live view, --json). Used on the run's strand only.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "agents/model.h"
#include "engine/base/json.h"
#include "orchestrator/run/journal.h"

namespace swarm::run {

// line: the journal's line, valid during the call.
using Listener =
    std::function<void(std::string_view type, const Json& data, const std::string& line)>;

// Whose call it is: an agent may work in several tasks at a time. Valid during the call.
struct Speaker {
  std::string_view task;
  std::string_view agent;
};
using ProgressListener = std::function<void(const Speaker&, const agents::Progress&)>;

class Recorder {
 public:
  // journal outlives the recorder.
  Recorder(Journal& journal, Listener listener)
      : journal_(journal), listener_(std::move(listener)) {}

  void event(std::string_view type, const Json& data) {
    const std::string& line = journal_.append(type, data);
    if (listener_) listener_(type, data, line);
  }
  void flush() { journal_.flush(); }

 private:
  Journal& journal_;
  Listener listener_;
};

}  // namespace swarm::run
