// engine/kernels/reference/reference.h — Scalar versions of every op: slow, obvious, the oracle of
// the other backends. One thread, sums in double. Formulas: reference/engine.md section 1.2.
#pragma once

#include <memory>

#include "engine/kernels/kernels.h"

namespace swarm::engine::kernels {

std::unique_ptr<Kernels> make_reference_kernels();

}  // namespace swarm::engine::kernels
