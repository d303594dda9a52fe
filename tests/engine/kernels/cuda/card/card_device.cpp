// emulated_device.h for a card: the same tests open the first card instead. Orders of threads are
// the card's business; what a test runs in several orders shows that the card repeats itself.
#include "engine/base/check.h"
#include "tests/engine/kernels/cuda/model/emulated_device.h"

namespace swarm::test {

using engine::device::Device;

std::unique_ptr<Device> make_emulated_device(const simt::EmulatorOptions&) {
  auto device = Device::open_cuda(0);
  SWARM_CHECK(device.has_value(), device.has_error() ? device.error().to_text() : "");
  return std::move(*device);
}

std::unique_ptr<engine::kernels::Kernels> open_emulated(
    const simt::EmulatorOptions& order, const engine::kernels::cuda::CudaOptions& options) {
  auto kernels = engine::kernels::cuda::open_cuda_kernels(make_emulated_device(order), options);
  SWARM_CHECK(kernels.has_value(), kernels.has_error() ? kernels.error().to_text() : "");
  return std::move(*kernels);
}

}  // namespace swarm::test
