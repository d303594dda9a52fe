// simt_planted FAULT: runs one kernel of faults.h in every order and prints nothing. A sanitizer is
// expected to say something; faults_test.cpp reads it.
#include <iostream>
#include <map>
#include <string>
#include <vector>

#include "engine/kernels/cuda/simt/emulator.h"
#include "tests/engine/kernels/cuda/simt/faults.h"

int main(int count, char** arguments) {
  using swarm::test::Fault;
  const std::map<std::string, Fault> kFaults{
      {"none", Fault::none},
      {"missing_barrier", Fault::missing_barrier},
      {"missing_warp_barrier", Fault::missing_warp_barrier},
      {"deep_stack", Fault::deep_stack},
      {"overflow", Fault::overflow},
      {"block_race", Fault::block_race}};
  if (count != 2 || !kFaults.contains(arguments[1])) {
    std::cerr << "usage: simt_planted FAULT\n";
    return 2;
  }
  bool ok = true;
  swarm::simt::for_all_orders([&](swarm::simt::Stream stream, const std::string&) {
    std::vector<float> out(16 * 64);
    ok = ok && swarm::test::run_fault(stream, kFaults.at(arguments[1]), out.data(), 16, 64).ok();
  });
  return ok ? 0 : 1;
}
