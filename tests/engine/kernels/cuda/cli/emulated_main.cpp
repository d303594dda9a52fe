// swarm_emulated: the whole program with the emulated CUDA backend as its device cuda:0, for trying
// what is too slow for a test, such as tests/gpu/demo-check build/release/swarm_emulated.
#include <iostream>

#include "orchestrator/cli/commands.h"
#include "tests/engine/kernels/cuda/model/emulated_accelerator.h"

int main(int argc, char** argv) {
  swarm::test::EmulatedAccelerator accelerator;
  return swarm::cli::run_program(argc, argv, std::cin, std::cout, std::cerr, &accelerator);
}
