// The arena on whichever backend is under test; the plan alone in plan_test.cpp.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "engine/device/arena.h"
#include "engine/device/staging.h"
#include "tests/engine/device/under_test.h"

using namespace swarm;
using namespace swarm::engine::device;

namespace {

ArenaPlan small_plan() {
  ArenaPlan plan;
  plan.add("weights/a", 100, 4);
  plan.add("weights/b", 1);
  plan.add("kv/k", 64, 2);
  return plan;
}

}  // namespace

TEST_CASE("arena: regions are apart, aligned, NaN at first, and hold what is written") {
  auto device = test::open_device_under_test();
  auto stream = device->make_stream().value();
  const Arena arena = Arena::open(*device, stream, small_plan()).value();
  auto staging = Staging::make(*device, stream, 128).value();
  const auto a = arena.get<float>("weights/a");
  const auto k = arena.get<uint16_t>("kv/k");
  REQUIRE(a.size() == 100);
  REQUIRE(k.size() == 64);
  CHECK(reinterpret_cast<uintptr_t>(k.kernel_pointer()) % kAlignment == 0);
  std::vector<float> seen(100);
  REQUIRE(staging.download(std::span(seen), a).has_value());
  for (const float value : seen) CHECK(std::isnan(value));
  std::vector<uint16_t> keys(64);
  std::iota(keys.begin(), keys.end(), uint16_t{500});
  REQUIRE(staging.upload(k, std::span<const uint16_t>(keys)).has_value());
  std::vector<uint16_t> back(64);
  REQUIRE(staging.download(std::span(back), k).has_value());
  CHECK(back == keys);
  CHECK(arena.check_integrity(stream).has_value());
}

TEST_CASE("arena: opens in one allocation of the planned size") {
  auto device = test::open_device_under_test();
  auto stream = device->make_stream().value();
  // The first fill may make the driver load code of its own onto the card.
  auto first = device->allocate<float>(1, "first").value();
  stream.fill_bytes(first.span(), 0);
  REQUIRE(stream.synchronize().has_value());
  ArenaPlan plan;
  plan.add("weights/all", uint64_t{48} << 20);
  const uint64_t bytes = plan.bytes();
  const uint64_t before = device->memory().value().free_bytes;
  const Arena arena = Arena::open(*device, stream, std::move(plan)).value();
  const uint64_t used = before - device->memory().value().free_bytes;
  CHECK(used >= bytes);
  CHECK(used < bytes + (uint64_t{4} << 20));   // drivers count in pages of 2 MiB
}

TEST_CASE("arena: what does not fit is refused with every number before anything is allocated") {
  auto device = test::open_device_under_test();
  auto stream = device->make_stream().value();
  const DeviceMemory before = device->memory().value();
  ArenaPlan plan;
  plan.add("weights/all", uint64_t{1} << 50);
  plan.add("kv/k", uint64_t{3} << 30);
  const auto refused = Arena::open(*device, stream, std::move(plan), uint64_t{1} << 28);
  REQUIRE(refused.has_error());
  CHECK(refused.error().kind == ErrorKind::environment);
  const std::string& text = refused.error().message;
  for (const char* part : {"out of device memory: needs ", "weights ", "kv 3.00 GiB",
                           "reserve 256.00 MiB", " free of ", " too much"})
    CHECK_MESSAGE(text.find(part) != std::string::npos, text);
  CHECK(device->memory().value().free_bytes == before.free_bytes);
  CHECK_FALSE(device->lost());
}

// The write goes through the driver (or memmove) right behind the region, as a kernel with a wrong
// bound would. Address checkers stop at the write itself, so it is shown without them.
#if !defined(__SANITIZE_ADDRESS__)
TEST_CASE("arena: a write behind a region is found, with its name") {
  auto device = test::open_device_under_test();
  auto stream = device->make_stream().value();
  const Arena arena = Arena::open(*device, stream, small_plan()).value();
  const auto a = arena.get<std::byte>("weights/a");
  const DeviceSpan<std::byte> behind(a.kernel_pointer() + a.size() + 8, 1);
  stream.fill_bytes(behind, 0);
  const auto checked = arena.check_integrity(stream);
  REQUIRE(checked.has_error());
  CHECK(checked.error().message ==
        "device memory behind \"weights/a\" was overwritten, first at byte 8 after its end");
}
#endif

TEST_CASE("staging: any length survives, whatever the block") {
  auto device = test::open_device_under_test();
  auto stream = device->make_stream().value();
  for (const size_t block : {size_t{1}, size_t{7}, size_t{64}, size_t{100000}})
    for (const size_t count : {size_t{0}, size_t{1}, size_t{63}, size_t{64}, size_t{65},
                               size_t{128}, size_t{129}, size_t{1000}}) {
      CAPTURE(block);
      CAPTURE(count);
      auto staging = Staging::make(*device, stream, block).value();
      auto memory = device->allocate<uint8_t>(count, "memory").value();
      std::vector<uint8_t> in(count), out(count);
      for (size_t i = 0; i < count; ++i) in[i] = static_cast<uint8_t>(i * 7 + 1);
      REQUIRE(staging.upload(memory.span(), std::span<const uint8_t>(in)).has_value());
      REQUIRE(staging.download(std::span(out), memory.span()).has_value());
      CHECK(in == out);
    }
}

TEST_CASE("staging: blocks written in place arrive in order, without a wait in between") {
  auto device = test::open_device_under_test();
  auto stream = device->make_stream().value();
  auto staging = Staging::make(*device, stream, 64).value();
  auto memory = device->allocate<std::byte>(1000, "memory").value();
  size_t at = 0, turns = 0;
  while (at < memory.size()) {
    const std::span<std::byte> block = staging.block().value();
    REQUIRE(block.size() == 64);
    CHECK(staging.block().value().data() == block.data());
    const size_t count = std::min<size_t>(memory.size() - at, turns++ % 2 == 0 ? 64 : 33);
    for (size_t i = 0; i < count; ++i) block[i] = static_cast<std::byte>((at + i) * 7);
    staging.send(memory.span().subspan(at, count));
    at += count;
  }
  REQUIRE(staging.finish().has_value());
  std::vector<std::byte> seen(memory.size());
  REQUIRE(staging.download(std::span(seen), memory.span()).has_value());
  for (size_t i = 0; i < seen.size(); ++i) CHECK(seen[i] == static_cast<std::byte>(i * 7));
}

TEST_CASE("arena: can be moved") {
  auto device = test::open_device_under_test();
  auto stream = device->make_stream().value();
  Arena first = Arena::open(*device, stream, small_plan()).value();
  {
    const Arena second = std::move(first);
    CHECK(second.get<float>("weights/a").size() == 100);
    CHECK(second.check_integrity(stream).has_value());
  }
}

TEST_CASE("staging: a lost device is an error, not old data called new") {
  auto device = test::open_device_under_test();
  auto stream = device->make_stream().value();
  auto staging = Staging::make(*device, stream).value();
  auto memory = device->allocate<uint8_t>(4, "memory").value();
  device->declare_lost("a test says so");
  std::vector<uint8_t> bytes(4);
  CHECK(staging.upload(memory.span(), std::span<const uint8_t>(bytes)).has_error());
  CHECK(staging.download(std::span(bytes), memory.span()).has_error());
}
