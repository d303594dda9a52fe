// main() of the kernel tests on a card; skipped (77) where there is none.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <cstdlib>
#include <iostream>

#include "engine/device/info.h"
#include "tests/engine/kernels/cuda/card/card_memory.h"

int main(int argc, char** argv) {
  // Tests read results right after a launch. Before the first call into CUDA, which reads it.
  setenv("CUDA_LAUNCH_BLOCKING", "1", 1);
  doctest::Context context(argc, argv);
  if (context.shouldExit()) return context.run();        // a question, such as --list-test-cases
  const auto cuda = swarm::engine::device::list_cuda_devices();
  if (cuda.devices.empty()) {
    std::cout << "skipped: no card: " << cuda.reason << "\n";
    return 77;
  }
  if (!swarm::test::use_card_memory()) {
    std::cout << "the card cannot read page-locked host memory\n";
    return 1;
  }
  return context.run();
}
