// tests/engine/kernels/cuda/card/card_memory.h — Makes what tests allocate readable by the card.
// Kernel tests hand std::vector memory to kernels. From use_card_memory() on, operator new serves
// page-locked host memory that the card reads and writes where it lies (no managed memory: its page
// faults are the driver's least tested side, and kernel tests are too small to need speed). What
// was allocated before stays where it is. The process keeps the memory until it ends.
//
// To compute-sanitizer all of it is one allocation, so this watches the ends itself: between blocks
// everything is NaN, and a block whose surroundings have changed when it is freed ends the process.
#pragma once

namespace swarm::test {

// False, with nothing changed, when the card cannot address host memory.
bool use_card_memory();

}  // namespace swarm::test
