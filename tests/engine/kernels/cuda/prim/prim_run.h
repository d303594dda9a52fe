// tests/engine/kernels/cuda/prim/prim_run.h — Runs a primitive of prim_cases.h in the emulator.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "engine/base/rng.h"
#include "tests/engine/kernels/cuda/prim/prim_cases.h"

namespace swarm::test {

const PrimCase& emulated_case(const std::string& name);

// Words for `threads` threads, drawn by the letters of PrimCase::inputs.
std::vector<uint32_t> random_inputs(Rng& rng, const PrimCase& test, int threads);

// The outputs, the same in every thread order (checked), of blocks * threads threads.
std::vector<uint32_t> run_emulated(const std::string& name, const std::vector<uint32_t>& in,
                                   int blocks, int threads);

inline float as_float(uint32_t word) { return __builtin_bit_cast(float, word); }
inline uint32_t as_word(float value) { return __builtin_bit_cast(uint32_t, value); }

}  // namespace swarm::test
