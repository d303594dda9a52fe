// engine/kernels/cpu/cpu_kernels.h — The production CPU backend: shares the ops of kernels.h out
// over a thread pool and calls the table of one instruction set. Owns threads and scratch; one
// caller.
#pragma once

#include <cstdint>
#include <memory>

#include "engine/kernels/cpu/isa_table.h"
#include "engine/kernels/kernels.h"

namespace swarm::engine::kernels {

// table outlives the result; threads >= 1.
std::unique_ptr<Kernels> make_cpu_kernels(const IsaTable& table, int32_t threads);

}  // namespace swarm::engine::kernels
