// engine/engine_plan.h — From a configuration and the shapes of a model to the size of everything.
// Engine::open claims what is planned here, fit() prints it. Needs no device and no weights' bytes.
// Immutable once made; the model file and the footprint outlive it. Thread-safe.
#pragma once

#include <cstdint>
#include <string>

#include "engine/base/error.h"
#include "engine/config.h"
#include "engine/device/arena.h"
#include "engine/formats/gguf.h"
#include "engine/kernels/footprint.h"
#include "engine/model/transformer.h"
#include "engine/model/weights.h"
#include "engine/sched/scheduler.h"

namespace swarm::engine {

// What an engine keeps: `residents` contexts of `context` tokens in `pages` pages.
struct EngineSize {
  int32_t context = 0;
  int32_t residents = 0;
  int32_t pages = 0;
};

struct EnginePlan {
  sched::SchedulerLimits limits;
  model::TransformerOptions transformer;
  device::ArenaPlan memory;
};

// Memory to fit into.
struct Room {
  std::string device;                  // "cuda:0", for messages
  device::DeviceMemory memory;
  uint64_t reserve_bytes = 0;          // left free
};

class EnginePlanner {
 public:
  // config was validated. Refused where the backend does not know a weight type or the shape is not
  // a model's.
  static Result<EnginePlanner> make(const EngineConfig& config, const formats::GgufFile& file,
                                    const kernels::Footprint& footprint);

  const model::ModelConfig& shape() const { return shape_; }
  const model::Weights& weights() const { return weights_; }
  int32_t context() const;             // of the configuration, at most the model's
  uint64_t page_bytes() const;         // K and V of all layers
  // Enough for every resident's whole context; more than can be is INT32_MAX.
  int32_t pages_wanted(int32_t context, int32_t residents) const;

  Result<EnginePlan> plan(const EngineSize& size) const;
  bool fits(const EngineSize& size, const Room& room) const;

  // At most size.pages that fit beside the rest; 0 if the rest does not fit alone.
  int32_t pages_in(const EngineSize& size, const Room& room) const;
  // The longest context that fits for so many residents, the most residents of such a context; 0 =
  // none. By bisection over plan(): there is no second formula.
  int32_t largest_context(int32_t residents, const Room& room) const;
  int32_t most_residents(int32_t context, const Room& room) const;

  // out of device memory, with the numbers and what would fit.
  Error does_not_fit(const EngineSize& size, const Room& room) const;

 private:
  EnginePlanner(const EngineConfig& config, model::ModelConfig shape, model::Weights weights,
                const kernels::Footprint& footprint);

  EngineConfig config_;
  model::ModelConfig shape_;
  model::Weights weights_;
  const kernels::Footprint* footprint_;
};

}  // namespace swarm::engine
