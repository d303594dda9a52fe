// tests/engine/kernels/cuda/prim/prim_cases.h — Every primitive as a function from words to words,
// compiled twice: emulated, where prim tests compare it with scalar definitions, and by nvcc, where
// the test labelled gpu compares it with the emulated one.
#pragma once

#include <cstdint>
#include <span>

#include "engine/kernels/cuda/simt/stream.h"

namespace swarm::test {

// How far the two sides may differ.
enum class Agreement : uint8_t {
  bits,           // not at all
  fast,           // relative 2^-20 of an f32: special function unit
  library,        // relative 2^-20 of an f32: two libraries, pow within 4 ulp
};

struct PrimCase {
  const char* name;
  // One letter per input word of a thread: x any bits, f an f32 in (-8, 8), p an f32 in (0, 8),
  // u the bits of any f32, l 0 to 31, r 0 to 63, b 0 or 1, h two f16 and k two bf16 that are small
  // integers, g an f32 that is a small integer.
  const char* inputs;
  int outputs;                         // words per thread
  int64_t shared_bytes;
  Agreement agreement;
  // in: [blocks * threads, inputs], out: [blocks * threads, outputs].
  simt::Status (*run)(simt::Stream stream, int blocks, int threads, const uint32_t* in,
                      uint32_t* out);
};

namespace emulated {
std::span<const PrimCase> prim_cases();
}
namespace on_device {
std::span<const PrimCase> prim_cases();
}

}  // namespace swarm::test
