#include "engine/kernels/cuda/simt/emulator.h"
#include "tests/engine/device/under_test.h"

namespace swarm::test {

using engine::device::HostStream;

std::unique_ptr<engine::device::Device> open_device_under_test() {
  // The launcher lives as long as the device, and the emulator with it.
  auto emulator = std::make_shared<simt::Emulator>(simt::EmulatorOptions{.threads = 1});
  return engine::device::Device::open_host({.launcher = [emulator](HostStream& stream) {
    return std::make_shared<simt::EmulatedStream>(simt::EmulatedStream{
        *emulator, [&stream](std::function<void()> work) { stream.run(std::move(work)); }});
  }});
}

}  // namespace swarm::test
