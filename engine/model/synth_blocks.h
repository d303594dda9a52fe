// engine/model/synth_blocks.h — Random weights in any encodable tensor type. Deterministic: only
// integer arithmetic and exactly rounded float operations. Pure functions, thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/base/rng.h"
#include "engine/formats/block_types.h"

namespace swarm::engine::model {

struct Bell {
  float mean = 0.0f;
  float std_dev = 1.0f;
};

// encoded: bell-shaped values through quantize(). direct: random codes with valid scales of the
// same spread (F16 and BF16: evenly spread values), many times faster; F32 is encoded all the same.
enum class SynthBlocks : uint8_t { encoded, direct };

// elements is a multiple of the block size.
std::vector<std::byte> random_tensor(formats::TensorType type, uint64_t elements, Bell bell,
                                     SynthBlocks blocks, Rng& rng);

}  // namespace swarm::engine::model
