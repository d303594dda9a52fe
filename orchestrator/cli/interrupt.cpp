#include "orchestrator/cli/interrupt.h"

#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>
#include <csignal>

namespace swarm::cli {

struct Interrupt::State {
  boost::asio::io_context io;
  boost::asio::signal_set signals{io};
  bool raised = false;
};

std::vector<int> interrupt_signals() {
  std::vector<int> out{SIGINT, SIGTERM};
  struct sigaction now {};
  if (::sigaction(SIGHUP, nullptr, &now) == 0 && now.sa_handler != SIG_IGN) out.push_back(SIGHUP);
  return out;
}

Interrupt::Interrupt() : state_(std::make_unique<State>()) {
  for (const int signal : interrupt_signals()) state_->signals.add(signal);
  state_->signals.async_wait([state = state_.get()](const boost::system::error_code& error, int) {
    if (error) return;
    state->raised = true;
    state->signals.clear();         // the second one has its usual effect
  });
}

Interrupt::~Interrupt() = default;

bool Interrupt::raised() {
  if (!state_->raised) state_->io.poll();
  return state_->raised;
}

}  // namespace swarm::cli
