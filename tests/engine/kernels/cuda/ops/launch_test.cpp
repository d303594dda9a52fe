#include "engine/kernels/cuda/launch.h"

#include <doctest/doctest.h>

#include "engine/kernels/cuda/simt/stream.h"

using namespace swarm;
using engine::kernels::cuda::launch;

TEST_CASE("cuda: a launch that is refused loses the device, and nothing is launched after it") {
  const auto device = engine::device::Device::open_host();
  int started = 0;
  const auto start = [&](int cuda_error) {
    return [&started, cuda_error] {
      ++started;
      return simt::Status{cuda_error};
    };
  };
  launch(*device, "first", start(0));
  CHECK(started == 1);
  CHECK_FALSE(device->lost());
  launch(*device, "second", start(9));
  CHECK(started == 2);
  CHECK(device->lost_reason() == "launching second: error 9");
  launch(*device, "third", start(0));
  CHECK(started == 2);
  CHECK(device->lost_reason() == "launching second: error 9");
}
