// engine/kernels/footprint.h — What a backend needs for a model, known without opening it: which
// weights it can take, how many bytes they and its scratch are. open() claims exactly this and
// `swarm model fit` prints it. Stateless and thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string_view>

#include "engine/base/error.h"
#include "engine/device/arena.h"
#include "engine/formats/block_types.h"

namespace swarm::engine::kernels {

struct KernelLimits;
struct Weight;

class Footprint {
 public:
  virtual ~Footprint() = default;

  // unsupported, naming tensor and type and listing what there is, unless this backend multiplies
  // with the type.
  virtual Result<void> check_weight(formats::TensorType type,
                                    std::string_view tensor_name) const = 0;
  // Bytes of a file's weight in the memory of the backend; 0: it is used where it lies. The type
  // was checked.
  virtual size_t placed_bytes(const Weight& weight) const = 0;
  // unsupported, with the value and what there is, where a shape is beyond the kernels.
  virtual Result<void> check_limits(const KernelLimits& limits) const = 0;
  // Adds the scratch of a backend that claims it up front. The CPU adds nothing: its scratch grows
  // to the largest call seen and is reused.
  virtual void plan(const KernelLimits& limits, device::ArenaPlan& plan) const = 0;
};

// Of the CPU backends.
const Footprint& host_footprint();

// The error of check_weight: "tensor T: weight type X is not supported on BACKEND; it has A, B, C".
Error unsupported_weight(formats::TensorType type, std::string_view tensor_name,
                         std::string_view backend,
                         const std::function<bool(const formats::BlockType&)>& has);

}  // namespace swarm::engine::kernels
