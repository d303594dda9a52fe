#include "tests/engine/kernels/cuda/model/emulated_device.h"

#include <functional>
#include <utility>

#include "engine/base/check.h"
#include "engine/device/host_stream.h"

namespace swarm::test {

using engine::device::Device;
using engine::device::HostStream;

engine::device::HostOptions emulated_host(const simt::EmulatorOptions& order) {
  const auto emulator = std::make_shared<simt::Emulator>(order);
  return {.launcher = [emulator](HostStream& stream) {
    return std::make_shared<simt::EmulatedStream>(simt::EmulatedStream{
        *emulator, [&stream](std::function<void()> work) { stream.run(std::move(work)); }});
  }};
}

std::unique_ptr<Device> make_emulated_device(const simt::EmulatorOptions& order) {
  return Device::open_host(emulated_host(order));
}

std::unique_ptr<engine::kernels::Kernels> open_emulated(
    const simt::EmulatorOptions& order, const engine::kernels::cuda::CudaOptions& options) {
  auto kernels =
      engine::kernels::cuda::open_cuda_kernels(make_emulated_device(order), options);
  SWARM_CHECK(kernels.has_value(), kernels.has_error() ? kernels.error().to_text() : "");
  return std::move(*kernels);
}

}  // namespace swarm::test
