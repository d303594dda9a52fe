// bench_card [FILTER] — cases whose name contains FILTER, on cuda:0. Exits with 77 without a card.
#include <iostream>

#include "tests/bench/card/card_bench.h"

int main(int argc, char** argv) {
  using namespace swarm;
  const auto found = engine::device::list_cuda_devices();
  if (found.devices.empty()) {
    std::cout << "skipped: no card: " << found.reason << "\n";
    return 77;
  }
  const auto device = engine::device::Device::open_cuda(0);
  if (!device) {
    std::cout << device.error().to_text() << "\n";
    return 3;
  }
  try {
    bench::CardBench bench(**device, std::cout, bench::Size::full, argc > 1 ? argv[1] : "");
    bench::bench_device(bench);
    bench::bench_matmul(bench);
    bench::bench_attention(bench);
  } catch (const std::exception& e) {
    std::cout << e.what() << "\n";
    return 1;
  }
  return (*device)->lost() ? 1 : 0;
}
