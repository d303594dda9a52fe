// tests/engine/device/under_test.h — The device that the contract tests of this executable use.
#pragma once

#include <memory>

#include "engine/device/device.h"

namespace swarm::test {

std::unique_ptr<engine::device::Device> open_device_under_test();

}  // namespace swarm::test
