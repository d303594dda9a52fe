// What device.h promises, on whichever backend open_device_under_test() opens.
#include <doctest/doctest.h>

#include <cstring>
#include <numeric>
#include <vector>

#include "tests/engine/device/add_one.h"
#include "tests/engine/device/under_test.h"

using namespace swarm;
using namespace swarm::engine::device;

namespace {

// A device with one stream and a page-locked buffer of 1000 integers at each end.
struct World {
  std::unique_ptr<Device> device = test::open_device_under_test();
  Stream stream = device->make_stream().value();
  PinnedBuffer<int32_t> in = device->allocate_pinned<int32_t>(kCount, "input").value();
  PinnedBuffer<int32_t> out = device->allocate_pinned<int32_t>(kCount, "output").value();

  static constexpr size_t kCount = 1000;
  World() {
    std::iota(in.span().host().begin(), in.span().host().end(), 1);
    std::memset(out.span().data(), 0, kCount * sizeof(int32_t));
  }
  void add_one(DeviceSpan<int32_t> values) {
    const simt::Status status =
        test::add_one(static_cast<simt::Stream>(stream.native()), values.kernel_pointer(),
                      static_cast<int32_t>(values.size()));
    device->launched("add_one", status.cuda_error);
  }
  std::vector<int32_t> output() const {
    return {out.span().host().begin(), out.span().host().end()};
  }
};

}  // namespace

TEST_CASE("device: bytes survive the way to the device, across it and back") {
  World w;
  auto a = w.device->allocate<int32_t>(World::kCount, "a").value();
  auto b = w.device->allocate<int32_t>(World::kCount, "b").value();
  w.stream.copy(a.span(), w.in.span());
  w.stream.copy(b.span().subspan(10, 500), a.span().subspan(100, 500));
  w.stream.copy(w.out.span().subspan(3, 500), b.span().subspan(10, 500));
  REQUIRE(w.stream.synchronize().has_value());
  const std::vector<int32_t> out = w.output();
  for (size_t i = 0; i < World::kCount; ++i) {
    CAPTURE(i);
    CHECK(out[i] == (i >= 3 && i < 503 ? static_cast<int32_t>(i) + 98 : 0));
  }
}

TEST_CASE("device: work of a stream happens in order") {
  World w;
  auto a = w.device->allocate<int32_t>(World::kCount, "a").value();
  w.stream.copy(a.span(), w.in.span());
  w.stream.fill_bytes(a.span().first(10), 0x01);
  w.stream.copy(w.out.span(), a.span());
  w.stream.fill_bytes(a.span(), 0x02);
  REQUIRE(w.stream.synchronize().has_value());
  CHECK(w.out.span()[9] == 0x01010101);
  CHECK(w.out.span()[10] == 11);
}

TEST_CASE("device: memory is aligned, counted and given back") {
  World w;
  constexpr size_t kBytes = size_t{64} << 20;
  const DeviceMemory before = w.device->memory().value();
  {
    auto big = w.device->allocate<std::byte>(kBytes, "big").value();
    auto odd = w.device->allocate<std::byte>(3, "odd").value();
    CHECK(reinterpret_cast<uintptr_t>(big.span().kernel_pointer()) % kAlignment == 0);
    CHECK(reinterpret_cast<uintptr_t>(odd.span().kernel_pointer()) % kAlignment == 0);
    CHECK(w.device->memory().value().free_bytes + kBytes <= before.free_bytes);
  }
  CHECK(w.device->memory().value().free_bytes + kBytes > before.free_bytes);
  CHECK(w.device->memory().value().total_bytes == before.total_bytes);
  CHECK(w.device->allocate<float>(0, "nothing").value().span().empty());
}

TEST_CASE("device: too much memory is refused with the numbers, and the device lives on") {
  World w;
  for (const size_t count : {size_t{1} << 45, SIZE_MAX / 2}) {
    CAPTURE(count);
    const auto refused = w.device->allocate<uint64_t>(count, "weights");
    REQUIRE(refused.has_error());
    CHECK(refused.error().kind == ErrorKind::environment);
    const std::string& text = refused.error().message;
    CHECK_MESSAGE(text.find("out of device memory: weights needs ") == 0, text);
    CHECK_MESSAGE(text.find(" free of ") != std::string::npos, text);
    CHECK_MESSAGE(text.find(w.device->info().id()) != std::string::npos, text);
  }
  CHECK_FALSE(w.device->lost());
  auto a = w.device->allocate<int32_t>(World::kCount, "a").value();
  w.stream.copy(a.span(), w.in.span());
  w.stream.copy(w.out.span(), a.span());
  REQUIRE(w.stream.synchronize().has_value());
  CHECK(w.out.span()[999] == 1000);
}

TEST_CASE("device: captured work runs when launched, each time on what is there then") {
  World w;
  auto a = w.device->allocate<int32_t>(World::kCount, "a").value();
  w.stream.begin_capture();
  w.stream.copy(a.span(), w.in.span());
  w.stream.fill_bytes(a.span().first(1), 0);
  w.stream.copy(w.out.span(), a.span());
  const Graph graph = w.stream.end_capture().value();
  const GraphExec exec = graph.instantiate().value();
  REQUIRE(w.stream.synchronize().has_value());
  CHECK(w.out.span()[5] == 0);                         // nothing ran while capturing
  for (int32_t round = 1; round <= 3; ++round) {
    w.in.span()[5] = round * 100;
    w.stream.launch(exec);
    REQUIRE(w.stream.synchronize().has_value());
    CHECK(w.out.span()[5] == round * 100);
    CHECK(w.out.span()[0] == 0);
    CHECK(w.out.span()[999] == 1000);
  }
}

TEST_CASE("device: kernels run in order with copies, at once and in graphs") {
  World w;
  auto a = w.device->allocate<int32_t>(World::kCount, "a").value();
  w.stream.copy(a.span(), w.in.span());
  w.add_one(a.span());
  w.add_one(a.span().subspan(1, 998));
  w.stream.copy(w.out.span(), a.span());
  REQUIRE(w.stream.synchronize().has_value());
  CHECK(w.out.span()[0] == 2);
  CHECK(w.out.span()[1] == 4);
  CHECK(w.out.span()[998] == 1001);
  CHECK(w.out.span()[999] == 1001);

  w.stream.begin_capture();
  w.add_one(a.span());
  w.stream.copy(w.out.span(), a.span());
  const auto exec = w.stream.end_capture().value().instantiate().value();
  for (int i = 0; i < 10; ++i) w.stream.launch(exec);
  REQUIRE(w.stream.synchronize().has_value());
  CHECK(w.out.span()[0] == 12);
  CHECK(w.out.span()[999] == 1011);
}

TEST_CASE("device: blocking launches run like others, and not while capturing") {
  World w;
  auto a = w.device->allocate<int32_t>(World::kCount, "a").value();
  w.device->set_blocking_launches(true);
  w.stream.copy(a.span(), w.in.span());
  w.add_one(a.span());
  w.stream.begin_capture();
  w.add_one(a.span());
  const auto exec = w.stream.end_capture().value().instantiate().value();
  w.stream.launch(exec);
  w.stream.copy(w.out.span(), a.span());
  REQUIRE(w.stream.synchronize().has_value());
  CHECK(w.out.span()[0] == 3);
}

TEST_CASE("device: events tell when and how long, and streams wait for each other") {
  World w;
  Stream other = w.device->make_stream().value();
  auto a = w.device->allocate<int32_t>(World::kCount, "a").value();
  Event begin = w.device->make_event().value();
  Event copied = w.device->make_event().value();
  w.stream.record(begin);
  w.stream.copy(a.span(), w.in.span());
  w.stream.record(copied);
  other.wait(copied);
  other.copy(w.out.span(), a.span());
  REQUIRE(other.synchronize().has_value());
  CHECK(copied.happened());
  REQUIRE(copied.synchronize().has_value());
  CHECK(copied.elapsed_ms_since(begin).value() >= 0);
  CHECK(w.out.span()[0] == 1);
  CHECK(w.out.span()[999] == 1000);
}

TEST_CASE("device: a lost device keeps its first reason and does nothing more") {
  World w;
  auto a = w.device->allocate<int32_t>(World::kCount, "a").value();
  w.stream.copy(a.span(), w.in.span());
  REQUIRE(w.stream.synchronize().has_value());
  w.device->declare_lost("a test says so");
  w.device->declare_lost("a second reason");
  w.stream.copy(w.out.span(), a.span());
  const auto after = w.stream.synchronize();
  REQUIRE(after.has_error());
  CHECK(after.error().kind == ErrorKind::environment);   // exit code 3
  const std::string& text = after.error().message;
  CHECK_MESSAGE(text.find("was lost: a test says so") != std::string::npos, text);
  CHECK(w.out.span()[0] == 0);
  CHECK(w.device->synchronize().has_error());
  CHECK(w.device->memory().has_error());
  CHECK(w.device->make_stream().has_error());
  CHECK(w.device->make_event().has_error());
  CHECK(w.device->allocate<int32_t>(1, "more").has_error());
  CHECK(w.device->allocate_pinned<int32_t>(1, "more").has_error());
}

TEST_CASE("device: device list and device agree") {
  World w;
  CHECK(w.device->info().memory_bytes > 0);
  CHECK(w.device->info().multiprocessors > 0);
  CHECK_FALSE(w.device->info().name.empty());
}
