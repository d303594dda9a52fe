#include "engine/device/device.h"
#include "engine/kernels/accelerator.h"
#include "engine/kernels/cuda/cuda_kernels.h"
#include "engine/kernels/linked_accelerator.h"

namespace swarm::engine::kernels {
namespace {

// Left free beside the arena: kernels' code, stacks and graphs of the driver.
constexpr uint64_t kReserveBytes = uint64_t{256} << 20;

class CudaAccelerator final : public Accelerator {
 public:
  Result<std::optional<int32_t>> choose(std::string_view wanted) const override {
    return device::choose_device(wanted, device::list_cuda_devices());
  }
  Result<uint64_t> free_bytes(int32_t index) const override {
    SWARM_TRY(const auto device, device::Device::open_cuda(index));
    SWARM_TRY(const device::DeviceMemory memory, device->memory());
    return memory.free_bytes;
  }
  Result<std::unique_ptr<Kernels>> open(int32_t index,
                                        const AcceleratorOptions& options) const override {
    SWARM_TRY(auto device, device::Device::open_cuda(index));
    return cuda::open_cuda_kernels(std::move(device), {.deterministic = options.deterministic,
                                                       .reserve_bytes = kReserveBytes});
  }
};

}  // namespace

const Accelerator* linked_accelerator() {
  static const CudaAccelerator accelerator;
  return &accelerator;
}

}  // namespace swarm::engine::kernels
