// engine/device/arena.h — All device memory of an engine, claimed once when it opens. An ArenaPlan
// is arithmetic only: it needs no device, so `swarm model fit` uses the same plan that open() does.
// An Arena is that plan in one allocation of a device, carved by name; it owns the memory and dies
// before the Device. Same thread as the Device.
//
// Names are "group/part": "weights/token_embd", "kv/k". Each region starts at a multiple of 256
// bytes and is followed by at least kGuardBytes of a known pattern, which check_integrity() reads
// back; regions start as NaN (bytes 0xff) on every backend. On the host, address checkers see the
// guards as forbidden.
#pragma once

#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "engine/device/device.h"

namespace swarm::engine::device {

inline constexpr uint64_t kGuardBytes = 256;

struct ArenaRegion {
  std::string name;
  uint64_t offset = 0;   // from the start of the arena
  uint64_t bytes = 0;    // without the guard
};

class ArenaPlan {
 public:
  // Names are unique. A size beyond 64 bits is remembered and refused by check_fits().
  void add(std::string_view name, uint64_t count, uint64_t element_bytes = 1);

  uint64_t bytes() const { return bytes_; }                    // with alignment and guards
  bool overflows() const { return overflow_; }
  uint64_t group_bytes(std::string_view group) const;          // of its regions alone
  std::span<const ArenaRegion> regions() const { return regions_; }

  // One line per group, its share, and the sum:
  //   weights       339 regions   17.28 GiB
  //   kv              2 regions    6.00 GiB
  //   total                       23.30 GiB
  std::string table() const;

  // Refused when the plan and `reserve_bytes` (left free for the driver, libraries and graphs) are
  // more than `memory` has free. Says what each group needs and how much is missing.
  Result<void> check_fits(std::string_view device, const DeviceMemory& memory,
                          uint64_t reserve_bytes) const;

 private:
  struct Group {
    std::string name;
    uint64_t regions = 0;
    uint64_t bytes = 0;
  };
  std::vector<Group> groups() const;                           // in order of appearance

  std::vector<ArenaRegion> regions_;
  uint64_t bytes_ = 0;
  bool overflow_ = false;
};

class Arena {
 public:
  // Checks the fit first, then allocates. stream: fills the memory and is synchronized.
  static Result<Arena> open(Device& device, Stream& stream, ArenaPlan plan,
                            uint64_t reserve_bytes = 0);
  Arena(Arena&&) = default;
  Arena& operator=(Arena&&) = delete;
  ~Arena();

  // The region of that name, which must exist and hold a whole number of T.
  template <class T>
  DeviceSpan<T> get(std::string_view name) const {
    return region(name).template as<T>();
  }
  const ArenaPlan& plan() const { return plan_; }

  // Reads every guard back: error kind failed, naming the region before the one that changed.
  // Waits for the stream; for idle moments and tests.
  Result<void> check_integrity(Stream& stream) const;

 private:
  Arena(Device& device, ArenaPlan plan, Buffer<std::byte> memory);
  DeviceSpan<std::byte> region(std::string_view name) const;
  DeviceSpan<std::byte> guard(size_t index) const;
  void forbid_guards(bool forbid) const;

  Device* device_;
  ArenaPlan plan_;
  std::map<std::string, size_t, std::less<>> index_;
  Buffer<std::byte> memory_;
};

}  // namespace swarm::engine::device
