#include "engine/kernels/memory.h"

#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include "engine/base/check.h"

using namespace swarm;
using namespace swarm::engine;
using namespace swarm::engine::kernels;

TEST_CASE("memory: a plan is claimed by name, aligned, zero and without overlap") {
  device::ArenaPlan plan;
  plan.add("weights/all", 1000);
  plan.add("kv/k", 0);
  plan.add("kv/v", 257);
  const auto memory = make_host_memory();
  REQUIRE(memory->reserve(plan).has_value());
  std::byte* v = memory->claim("kv/v", 257);
  std::byte* weights = memory->claim("weights/all", 1000);
  CHECK(reinterpret_cast<uintptr_t>(weights) % device::kAlignment == 0);
  CHECK(reinterpret_cast<uintptr_t>(v) % device::kAlignment == 0);
  CHECK(v >= weights + 1000);
  for (int i = 0; i < 257; ++i) REQUIRE(v[i] == std::byte{0});
}

TEST_CASE("memory: strided copies move each piece and nothing between") {
  device::ArenaPlan plan;
  plan.add("kv/k", 64);
  const auto memory = make_host_memory();
  REQUIRE(memory->reserve(plan).has_value());
  std::byte* data = memory->claim("kv/k", 64);
  std::vector<std::byte> bytes(64);
  for (size_t i = 0; i < 64; ++i) bytes[i] = std::byte(i);
  memory->write(data, bytes);
  // Two layers of four pages of eight bytes: page 1 becomes page 3.
  memory->copy(data + 24, data + 8, 8, 32, 2);
  std::vector<std::byte> got(64);
  memory->read(got, data);
  for (size_t layer = 0; layer < 2; ++layer) {
    for (size_t i = 0; i < 8; ++i) bytes[layer * 32 + 24 + i] = bytes[layer * 32 + 8 + i];
  }
  CHECK(got == bytes);
}

TEST_CASE("memory: what cannot be had is refused with the numbers") {
  for (const uint64_t bytes : {uint64_t{1} << 59, UINT64_MAX}) {
    device::ArenaPlan plan;
    plan.add("weights/all", 4096);
    plan.add("kv/k", bytes);
    const auto refused = make_host_memory()->reserve(plan);
    REQUIRE(refused.has_error());
    CHECK(refused.error().kind == ErrorKind::environment);
    CHECK(refused.error().message.find("cannot map ") == 0);
    CHECK(refused.error().message.find("of it KV cache") != std::string::npos);
  }
}
