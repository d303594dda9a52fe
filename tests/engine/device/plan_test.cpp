// The arena's arithmetic, which needs no device.
#include <doctest/doctest.h>

#include <stdexcept>

#include "engine/device/arena.h"

using namespace swarm;
using namespace swarm::engine::device;

namespace {

[[noreturn]] void throw_report(const std::string& report) { throw std::runtime_error(report); }

}  // namespace

TEST_CASE("arena plan: every region is followed by a guard and the next starts aligned") {
  ArenaPlan plan;
  for (const uint64_t bytes : {0, 1, 255, 256, 257, 1000}) {
    CAPTURE(bytes);
    plan.add("g/" + std::to_string(bytes), bytes);
  }
  uint64_t end = 0;
  for (const ArenaRegion& region : plan.regions()) {
    CAPTURE(region.name);
    CHECK(region.offset % kAlignment == 0);
    CHECK(region.offset >= end);
    end = region.offset + region.bytes + kGuardBytes;
  }
  CHECK(plan.bytes() >= end);
  CHECK(plan.bytes() < end + kAlignment);
}

TEST_CASE("arena plan: groups are summed and printed in the order they came") {
  ArenaPlan plan;
  plan.add("weights/a", 3, uint64_t{1} << 20);
  plan.add("weights/b", 1, uint64_t{1} << 20);
  plan.add("kv/k", 512, 2);
  plan.add("scratch", 100);
  CHECK(plan.group_bytes("weights") == uint64_t{4} << 20);
  CHECK(plan.group_bytes("kv") == 1024);
  CHECK(plan.group_bytes("scratch") == 100);
  CHECK(plan.group_bytes("nothing") == 0);
  CHECK(plan.table() ==
        "weights       2 regions      4.00 MiB\n"
        "kv            1 region       1.00 KiB\n"
        "scratch       1 region          100 B\n"
        "total                        4.00 MiB\n");
}

TEST_CASE("arena plan: fits to the byte") {
  ArenaPlan plan;
  plan.add("a", 256);
  REQUIRE(plan.bytes() == 512);
  CHECK(plan.check_fits("x", {.free_bytes = 512, .total_bytes = 600}, 0).has_value());
  CHECK(plan.check_fits("x", {.free_bytes = 511, .total_bytes = 600}, 0).has_error());
  CHECK(plan.check_fits("x", {.free_bytes = 600, .total_bytes = 600}, 88).has_value());
  const auto refused = plan.check_fits("x", {.free_bytes = 600, .total_bytes = 640}, 100);
  REQUIRE(refused.has_error());
  CHECK(refused.error().message ==
        "out of device memory: needs 612 B (a 256 B, reserve 100 B), x has 600 B free of 640 B: "
        "12 B too much");
}

TEST_CASE("arena plan: sizes beyond 64 bits are refused, not wrapped") {
  for (const auto& [count, size] :
       {std::pair<uint64_t, uint64_t>{UINT64_MAX, 2}, {UINT64_MAX, 1}, {uint64_t{1} << 62, 1},
        {uint64_t{1} << 40, uint64_t{1} << 30}}) {
    ArenaPlan plan;
    plan.add("a/1", count, size);
    plan.add("a/2", 16);
    const auto refused =
        plan.check_fits("x", {.free_bytes = UINT64_MAX, .total_bytes = UINT64_MAX}, UINT64_MAX);
    REQUIRE(refused.has_error());
    CHECK(refused.error().message == "out of device memory: the plan is beyond 2^60 bytes");
  }
}

TEST_CASE("arena plan: a name stands for one region") {
  ArenaPlan plan;
  plan.add("kv/k", 1);
  const ScopedCheckHandler handler(throw_report);
  CHECK_THROWS(plan.add("kv/k", 1));
  CHECK_THROWS(plan.add("", 1));
}
