// tests/engine/device/add_one.h — The smallest kernel of the contract tests, emulated or on a card.
#pragma once

#include <cstdint>

#include "engine/kernels/cuda/simt/stream.h"

namespace swarm::test {

// values[i] += 1 for i in [0, count).
simt::Status add_one(simt::Stream stream, int32_t* values, int32_t count);

}  // namespace swarm::test
