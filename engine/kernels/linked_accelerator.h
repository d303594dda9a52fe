// engine/kernels/linked_accelerator.h — The accelerator of the program at hand: CUDA where the
// build has it. For main() alone; everybody else is handed a pointer. Lives as long as the program.
#pragma once

namespace swarm::engine::kernels {

class Accelerator;

const Accelerator* linked_accelerator();   // null: this build computes on the CPU

}  // namespace swarm::engine::kernels
