// orchestrator/cli/interrupt.h — Ctrl-C and SIGTERM as a question that a loop may ask. While an
// object lives these signals do not end the process; a second one does. One object at a time, in
// the main thread. Commands that run an event loop of their own do not need it.
#pragma once

#include <memory>

namespace swarm::cli {

class Interrupt {
 public:
  Interrupt();
  ~Interrupt();
  bool raised();                    // never blocks

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace swarm::cli
