#include "engine/device/device.h"
#include "engine/kernels/accelerator.h"
#include "engine/kernels/cuda/cuda_footprint.h"
#include "engine/kernels/cuda/cuda_kernels.h"
#include "engine/kernels/linked_accelerator.h"

namespace swarm::engine::kernels {
namespace {

class CudaAccelerator final : public Accelerator {
 public:
  Result<std::optional<int32_t>> choose(std::string_view wanted) const override {
    return device::choose_device(wanted, device::list_cuda_devices());
  }
  const Footprint& footprint() const override { return cuda::cuda_footprint(); }
  Result<device::DeviceMemory> memory(int32_t index) const override {
    SWARM_TRY(const auto device, device::Device::open_cuda(index));
    return device->memory();
  }
  Result<std::unique_ptr<Kernels>> open(int32_t index,
                                        const AcceleratorOptions& options) const override {
    SWARM_TRY(auto device, device::Device::open_cuda(index));
    return cuda::open_cuda_kernels(std::move(device), {.deterministic = options.deterministic,
                                                       .reserve_bytes = kDeviceReserveBytes,
                                                       .portable = options.portable});
  }
};

}  // namespace

const Accelerator* linked_accelerator() {
  static const CudaAccelerator accelerator;
  return &accelerator;
}

}  // namespace swarm::engine::kernels
