// tests/engine/formats/damage.h — Seeded damage to bytes: flipped bits, nasty numbers, truncation,
// structure in the wrong place. The same seed gives the same damage.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "engine/base/rng.h"

namespace swarm::test {

using Bytes = std::vector<std::byte>;

inline void overwrite(Bytes& bytes, size_t at, uint64_t value, size_t width) {
  for (size_t i = 0; i < width && at + i < bytes.size(); ++i)
    bytes[at + i] = static_cast<std::byte>(value >> (8 * i));
}

// One damage of a random kind.
inline void damage(Bytes& bytes, Rng& rng) {
  constexpr std::array kNasty = {uint64_t{0},       uint64_t{1},        uint64_t{1} << 16,
                                 uint64_t{1} << 31, (uint64_t{1} << 31) - 1, uint64_t{1} << 32,
                                 uint64_t{1} << 62, uint64_t{1} << 63,  UINT64_MAX,
                                 UINT64_MAX - 31};
  const size_t at = rng.below(bytes.size());
  switch (rng.below(6)) {
    case 0: bytes[at] ^= static_cast<std::byte>(1u << rng.below(8)); break;
    case 1: bytes[at] = static_cast<std::byte>(rng.below(256)); break;
    case 2: overwrite(bytes, at, kNasty[rng.below(kNasty.size())], 8); break;
    case 3: overwrite(bytes, at, kNasty[rng.below(kNasty.size())], 4); break;
    case 4: bytes.resize(std::max<size_t>(at, 1)); break;
    default: {  // a run of bytes copied elsewhere: structure in the wrong place
      const size_t length = std::min<size_t>(1 + rng.below(64), bytes.size() - at);
      const Bytes run(bytes.begin() + static_cast<ptrdiff_t>(at),
                      bytes.begin() + static_cast<ptrdiff_t>(at + length));
      const size_t to = rng.below(bytes.size());
      for (size_t i = 0; i < length && to + i < bytes.size(); ++i) bytes[to + i] = run[i];
    }
  }
}

}  // namespace swarm::test
