// engine/base/rng.h — Seeded, splittable random numbers with the same sequence on every platform.
// Generator: SplitMix64 seeding xoshiro256** (Blackman and Vigna, public domain algorithm).
// A value type; not thread-safe. Nobody calls std::random_device outside main().
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

namespace swarm {

// Stable 64-bit hash (FNV-1a) for deriving seeds and cache keys from text.
constexpr uint64_t hash_text(std::string_view text, uint64_t seed = 14695981039346656037ull) {
  uint64_t hash = seed;
  for (char c : text) hash = (hash ^ static_cast<uint8_t>(c)) * 1099511628211ull;
  return hash;
}

// Mixes b into a; order matters. Used for per-agent, per-round seeds.
constexpr uint64_t mix_seed(uint64_t a, uint64_t b) {
  uint64_t z = a + 0x9e3779b97f4a7c15ull * (b + 1);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
  return z ^ (z >> 31);
}

class Rng {
 public:
  explicit Rng(uint64_t seed) {
    for (size_t i = 0; i < state_.size(); ++i) state_[i] = mix_seed(seed, i);
  }

  uint64_t next() {
    const auto rotl = [](uint64_t x, int k) { return (x << k) | (x >> (64 - k)); };
    const uint64_t result = rotl(state_[1] * 5, 7) * 9;
    const uint64_t t = state_[1] << 17;
    state_[2] ^= state_[0];
    state_[3] ^= state_[1];
    state_[1] ^= state_[2];
    state_[0] ^= state_[3];
    state_[2] ^= t;
    state_[3] = rotl(state_[3], 45);
    return result;
  }

  // Uniform in [0, 1), 53 bits.
  double uniform() { return static_cast<double>(next() >> 11) * 0x1.0p-53; }

  // Uniform in [0, bound); bound > 0. Unbiased (rejection).
  uint64_t below(uint64_t bound) {
    const uint64_t limit = UINT64_MAX - UINT64_MAX % bound;
    uint64_t value = next();
    while (value >= limit) value = next();
    return value % bound;
  }

  // An independent generator for a named purpose.
  Rng split(std::string_view label) { return Rng(hash_text(label, next() | 1)); }

 private:
  std::array<uint64_t, 4> state_{};
};

}  // namespace swarm
