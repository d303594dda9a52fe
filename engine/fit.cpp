#include "engine/fit.h"

#include <unistd.h>

#include <utility>

#include "engine/engine_plan.h"
#include "engine/kernels/accelerator.h"
#include "engine/kernels/cuda/cuda_footprint.h"
#include "engine/model/model_source.h"

namespace swarm::engine {
namespace {

struct Target {
  Room room;
  const kernels::Footprint* footprint = nullptr;
};

Target host_target(std::optional<uint64_t> memory_bytes) {
  const uint64_t bytes = memory_bytes.value_or(static_cast<uint64_t>(sysconf(_SC_PHYS_PAGES)) *
                                               static_cast<uint64_t>(sysconf(_SC_PAGESIZE)));
  Target target;
  target.room.device = "cpu";
  target.room.memory = {.free_bytes = bytes, .total_bytes = bytes};
  target.footprint = &kernels::host_footprint();
  return target;
}

Target device_target(std::string name, const device::DeviceMemory& memory,
                     const kernels::Footprint& footprint) {
  Target target;
  target.room.device = std::move(name);
  target.room.memory = memory;
  target.room.reserve_bytes = kernels::kDeviceReserveBytes;
  target.footprint = &footprint;
  return target;
}

Result<Target> choose_target(const FitRequest& request, const kernels::Accelerator* accelerator) {
  const std::string& device = request.config.device;
  if (device == "cpu") return host_target(request.memory_bytes);
  if (request.memory_bytes)
    return device_target("a CUDA device", {.free_bytes = *request.memory_bytes,
                                           .total_bytes = *request.memory_bytes},
                         kernels::cuda::cuda_footprint());
  if (accelerator == nullptr) {
    if (device == "auto") return host_target({});
    return environment_error("engine.device: this build has no CUDA backend; say how large the "
                             "device is instead");
  }
  SWARM_TRY(const std::optional<int32_t> index, accelerator->choose(device));
  if (!index) return host_target({});
  SWARM_TRY(const device::DeviceMemory memory, accelerator->memory(*index));
  return device_target("cuda:" + std::to_string(*index), memory, accelerator->footprint());
}

}  // namespace

Result<Fit> fit(const FitRequest& request, const kernels::Accelerator* accelerator) {
  SWARM_TRY_VOID(request.config.validate());
  SWARM_TRY(Target target, choose_target(request, accelerator));
  SWARM_TRY(const auto file, model::open_model_shapes(request.config.model));
  SWARM_TRY(const auto planner, EnginePlanner::make(request.config, *file, *target.footprint));
  // Weights that a backend uses where the file has them are memory all the same.
  const uint64_t mapped = target.footprint == &kernels::host_footprint()
                              ? planner.weights().bytes : 0;
  target.room.reserve_bytes += mapped;
  const int32_t context = planner.context(), residents = request.config.max_resident;
  const EngineSize size{.context = context, .residents = residents,
                        .pages = planner.pages_wanted(context, residents)};
  SWARM_TRY(const EnginePlan plan, planner.plan(size));
  return Fit{.device = target.room.device,
             .context = context,
             .residents = residents,
             .weight_bytes = plan.memory.group_bytes("weights") + mapped,
             .kv_bytes = plan.memory.group_bytes("kv"),
             .activation_bytes = plan.memory.group_bytes("activations") +
                                 plan.memory.group_bytes("scratch"),
             .total_bytes = plan.memory.bytes() + mapped,
             .reserve_bytes = target.room.reserve_bytes - mapped,
             .free_bytes = target.room.memory.free_bytes,
             .memory_bytes = target.room.memory.total_bytes,
             .fits = planner.fits(size, target.room),
             .largest_context = planner.largest_context(residents, target.room),
             .most_residents = planner.most_residents(context, target.room)};
}

}  // namespace swarm::engine
