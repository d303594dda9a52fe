// tests/engine/kernels/cuda/model/emulated_accelerator.h — The CUDA backend as Engine::open and the
// command line take it, on the emulator: one device, "cuda:0", which "auto" chooses. Its memory is
// what the test says, and it falls over or refuses to open when the test says so. One thread opens;
// it outlives what it opened.
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "engine/kernels/accelerator.h"
#include "engine/kernels/cuda/cuda_footprint.h"
#include "tests/engine/device/failing_backend.h"
#include "tests/engine/kernels/cuda/model/emulated_device.h"

namespace swarm::test {

class EmulatedAccelerator final : public engine::kernels::Accelerator {
 public:
  Result<std::optional<int32_t>> choose(std::string_view wanted) const override {
    if (wanted == "cpu") return std::optional<int32_t>();
    if (wanted == "auto" || wanted == "cuda:0") return std::optional<int32_t>(0);
    return environment_error("no device \"" + std::string(wanted) + "\"");
  }
  const engine::kernels::Footprint& footprint() const override {
    return engine::kernels::cuda::cuda_footprint();
  }
  Result<engine::device::DeviceMemory> memory(int32_t) const override {
    return engine::device::DeviceMemory{.free_bytes = free_bytes, .total_bytes = total_bytes};
  }
  Result<std::unique_ptr<engine::kernels::Kernels>> open(
      int32_t, const engine::kernels::AcceleratorOptions& options) const override {
    if (!refusal.empty()) return environment_error(refusal);
    auto owned = std::make_unique<FailingBackend>(emulated_host());
    if (verbs >= 0) owned->fail_after(verbs);
    owned->fail_after_launches(launches);
    backend = owned.get();
    auto device = std::make_unique<engine::device::Device>(std::move(owned));
    opened = device.get();
    return engine::kernels::cuda::open_cuda_kernels(
        std::move(device), {.deterministic = options.deterministic, .portable = options.portable});
  }

  uint64_t free_bytes = uint64_t{1} << 30;
  uint64_t total_bytes = uint64_t{2} << 30;
  int launches = -1;                   // before the device falls over; -1 = it does not
  int verbs = -1;                      // the same, counted in calls of whatever kind
  std::string refusal = {};            // what open() says; empty = it opens
  mutable engine::device::Device* opened = nullptr;      // by the last open()
  mutable FailingBackend* backend = nullptr;
};

}  // namespace swarm::test
