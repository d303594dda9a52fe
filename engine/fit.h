// engine/fit.h — Does a model fit, and how much of it: the memory that Engine::open would claim,
// from the same plan, without weights and, where a size is given, without a device. Pure but for
// asking a device or this machine for its memory; thread-safe.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "engine/base/error.h"
#include "engine/config.h"

namespace swarm::engine {

namespace kernels {
class Accelerator;
}

struct FitRequest {
  // model, device, KV types, page_tokens, context_max, max_resident, prefill_batch_tokens. The rest
  // does not matter; kv_bytes_max is what this finds out.
  EngineConfig config = {};
  // Of a device that is not here, instead of asking: "cpu" means a machine of that size, anything
  // else a CUDA card.
  std::optional<uint64_t> memory_bytes = {};
};

struct Fit {
  std::string device;                   // "cuda:0", "a CUDA device", "cpu"
  int32_t context = 0;                  // tokens, at most the model's
  int32_t residents = 0;                // contexts of that length
  uint64_t weight_bytes = 0;            // on the CPU: where the file is mapped
  uint64_t kv_bytes = 0;                // engine.kv_bytes_max that holds them
  uint64_t activation_bytes = 0;        // with the scratch that a device claims up front
  uint64_t total_bytes = 0;             // with alignment and guards
  uint64_t reserve_bytes = 0;           // left free for the driver
  uint64_t free_bytes = 0;              // what it has to fit into
  uint64_t memory_bytes = 0;            // there in all
  bool fits = false;
  int32_t largest_context = 0;          // that would fit for these residents; 0 = none
  int32_t most_residents = 0;           // of this context; 0 = none
};

// Errors: a bad configuration or model, a device that is not there.
Result<Fit> fit(const FitRequest& request, const kernels::Accelerator* accelerator = nullptr);

}  // namespace swarm::engine
