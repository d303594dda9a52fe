// engine/device/probe.h — The smallest kernel, run when a card is opened: it tells whether this
// build has code for the card's architecture and whether the card runs it. CUDA builds only.
#pragma once

#include <cstdint>

namespace swarm::engine::device {

inline constexpr uint32_t kProbeAnswer = 0x5a17;

// Takes one uint32_t*, writes kProbeAnswer there.
const void* probe_kernel();

}  // namespace swarm::engine::device
