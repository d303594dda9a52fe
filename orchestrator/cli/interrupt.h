// orchestrator/cli/interrupt.h — Ctrl-C, SIGTERM and SIGHUP as a question that a loop may ask.
// While an object lives these signals do not end the process; a second one does. One object at a
// time, in the main thread. Commands that run an event loop of their own do not need it.
#pragma once

#include <memory>
#include <vector>

namespace swarm::cli {

// What asks this program to end. SIGHUP is not among them where it is ignored (nohup).
std::vector<int> interrupt_signals();

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
