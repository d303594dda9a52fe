// engine/base/units.h — Bytes and durations as people write them, and arithmetic that notices
// overflow. Pure functions, thread-safe.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "engine/base/error.h"

namespace swarm {

inline constexpr uint64_t operator""_KiB(unsigned long long n) { return n << 10; }
inline constexpr uint64_t operator""_MiB(unsigned long long n) { return n << 20; }
inline constexpr uint64_t operator""_GiB(unsigned long long n) { return n << 30; }

// "8GiB", "512 MiB", "1.5GB", "4096": an integer number of bytes.
Result<uint64_t> parse_bytes(std::string_view text);

// "17.28 GiB", "512 B": for people.
std::string format_bytes(uint64_t bytes);

// "250ms", "30s", "5m", "1h"; a bare number is refused, the unit is part of the value.
Result<std::chrono::milliseconds> parse_duration(std::string_view text);

// "1.24 s", "830 ms": for people.
std::string format_duration(std::chrono::nanoseconds duration);

// nullopt on overflow.
inline std::optional<uint64_t> checked_mul(uint64_t a, uint64_t b) {
  uint64_t out = 0;
  if (__builtin_mul_overflow(a, b, &out)) return std::nullopt;
  return out;
}
inline std::optional<uint64_t> checked_add(uint64_t a, uint64_t b) {
  uint64_t out = 0;
  if (__builtin_add_overflow(a, b, &out)) return std::nullopt;
  return out;
}

}  // namespace swarm
