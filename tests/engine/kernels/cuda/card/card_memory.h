// tests/engine/kernels/cuda/card/card_memory.h — Makes what tests allocate readable by the card.
// Kernel tests hand std::vector memory to kernels. From use_card_memory() on, operator new serves
// managed memory, which host and card share; what was allocated before stays where it is. The
// process keeps the memory until it ends.
#pragma once

namespace swarm::test {

// False, with nothing changed, when the card has no managed memory.
bool use_card_memory();

}  // namespace swarm::test
