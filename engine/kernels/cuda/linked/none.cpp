#include "engine/kernels/linked_accelerator.h"

namespace swarm::engine::kernels {

const Accelerator* linked_accelerator() { return nullptr; }

}  // namespace swarm::engine::kernels
