// The program. Streams and signals are the process's; everything else is built in run_program().
#include <unistd.h>

#include <csignal>
#include <iostream>

#include "engine/kernels/linked_accelerator.h"
#include "orchestrator/cli/commands.h"
#include "orchestrator/cli/interrupt.h"

// Where no command listens, there is nothing to be saved.
extern "C" void leave(int) { ::_exit(swarm::cli::kExitInterrupted); }

int main(int argc, char** argv) {
  // A peer that closes its pipe is an error code of the write, never the end of the process.
  std::signal(SIGPIPE, SIG_IGN);
  for (const int signal : swarm::cli::interrupt_signals()) std::signal(signal, leave);
  std::ios::sync_with_stdio(false);
  return swarm::cli::run_program(argc, argv, std::cin, std::cout, std::cerr,
                                 swarm::engine::kernels::linked_accelerator());
}
