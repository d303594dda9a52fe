// engine/kernels/accelerator.h — A kind of device that can run the ops of kernels.h besides the
// CPU. Which one there is, is decided when a program is linked; main() passes it to Engine::open.
// Stateless and thread-safe.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string_view>

#include "engine/base/error.h"
#include "engine/kernels/kernels.h"

namespace swarm::engine::kernels {

// Left free beside the arena: our kernels and those of cuBLAS, which the driver loads when they are
// first used (a step that finds no room for them loses the device), its stacks and graphs.
inline constexpr uint64_t kDeviceReserveBytes = uint64_t{512} << 20;

struct AcceleratorOptions {
  bool deterministic = false;          // bits of a row do not depend on the batch; costs speed
  bool portable = false;               // our own kernels alone, the same on every card
};

class Accelerator {
 public:
  virtual ~Accelerator() = default;
  // The device that engine.device stands for; nullopt = the CPU ("cpu", or "auto" without a
  // device). Error where a named device does not exist, with what there is instead.
  virtual Result<std::optional<int32_t>> choose(std::string_view wanted) const = 0;
  // What its backend needs for a model.
  virtual const Footprint& footprint() const = 0;
  // Its memory now. open() leaves kDeviceReserveBytes of it free.
  virtual Result<device::DeviceMemory> memory(int32_t index) const = 0;
  virtual Result<std::unique_ptr<Kernels>> open(int32_t index,
                                                const AcceleratorOptions& options) const = 0;
};

}  // namespace swarm::engine::kernels
