#include "engine/kernels/memory.h"

#include <doctest/doctest.h>

#include <cstring>
#include <vector>

#include "engine/base/check.h"

using namespace swarm;
using namespace swarm::engine::kernels;

TEST_CASE("memory: a plan is claimed piece by piece, aligned, zero and without overlap") {
  MemoryPlan plan;
  plan.add("weights", 1000);
  plan.add("kv.k", 0);
  plan.add("kv.v", 257);
  CHECK(plan.total() == 1024 + 0 + 512);
  CHECK(plan.total_of("kv.") == 512);
  const auto memory = make_host_memory();
  REQUIRE(memory->reserve(plan).has_value());
  std::byte* weights = memory->claim("weights", 1000);
  std::byte* k = memory->claim("kv.k", 0);
  std::byte* v = memory->claim("kv.v", 257);
  CHECK(reinterpret_cast<uintptr_t>(weights) % MemoryPlan::kAlignment == 0);
  CHECK(k - weights == 1024);
  CHECK(v == k);
  for (int i = 0; i < 257; ++i) REQUIRE(v[i] == std::byte{0});
}

TEST_CASE("memory: strided copies move each piece and nothing between") {
  MemoryPlan plan;
  plan.add("pages", 64);
  const auto memory = make_host_memory();
  REQUIRE(memory->reserve(plan).has_value());
  std::byte* data = memory->claim("pages", 64);
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
  MemoryPlan plan;
  plan.add("weights", 4096);
  plan.add("kv.k", SIZE_MAX - 100);
  CHECK(plan.total() == UINT64_MAX);
  const auto refused = make_host_memory()->reserve(plan);
  REQUIRE(refused.has_error());
  CHECK(refused.error().kind == ErrorKind::environment);
  CHECK(refused.error().message.find("cannot map ") == 0);
}
