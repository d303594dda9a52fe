// main() of tests that need a card: without one they say why and exit with 77, which ctest and
// gpu-check show as skipped, never as passed.
#define DOCTEST_CONFIG_IMPLEMENT
#include <doctest/doctest.h>

#include <iostream>

#include "engine/device/info.h"

int main(int argc, char** argv) {
  doctest::Context context(argc, argv);
  if (context.shouldExit()) return context.run();        // a question, such as --list-test-cases
  const auto cuda = swarm::engine::device::list_cuda_devices();
  if (cuda.devices.empty()) {
    std::cout << "skipped: no card: " << cuda.reason << "\n";
    return 77;
  }
  return context.run();
}
