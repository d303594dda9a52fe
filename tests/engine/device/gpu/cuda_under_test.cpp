#include "tests/engine/device/under_test.h"

namespace swarm::test {

std::unique_ptr<engine::device::Device> open_device_under_test() {
  return engine::device::Device::open_cuda(0).value();
}

}  // namespace swarm::test
