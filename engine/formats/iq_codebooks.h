// engine/formats/iq_codebooks.h — The six lattice codebooks of the IQ weight types, as points with
// small integer elements. Constant data built at compile time from iq_codebooks.inc, which
// tests/golden/formats/make_iq_codebooks.py writes. Kernels for these types read the same tables.
#pragma once

#include <array>
#include <cstdint>
#include <span>

namespace swarm::engine::formats {

std::span<const std::array<int8_t, 8>, 256> iq2xxs_codebook();
std::span<const std::array<int8_t, 8>, 512> iq2xs_codebook();
std::span<const std::array<int8_t, 8>, 1024> iq2s_codebook();
std::span<const std::array<int8_t, 4>, 256> iq3xxs_codebook();
std::span<const std::array<int8_t, 4>, 512> iq3s_codebook();
std::span<const std::array<int8_t, 8>, 2048> iq1s_codebook();  // also IQ1_M

}  // namespace swarm::engine::formats
