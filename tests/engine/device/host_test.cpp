// What only the host backend can show: poison, misuse that a card would forgive.
#include <doctest/doctest.h>

#include <cmath>
#include <stdexcept>
#include <thread>

#include "engine/device/device.h"
#include "engine/device/host_stream.h"

using namespace swarm;
using namespace swarm::engine::device;

namespace {

[[noreturn]] void throw_report(const std::string& report) { throw std::runtime_error(report); }

}  // namespace

TEST_CASE("host device: fresh memory is NaN") {
  auto device = Device::open_host();
  auto stream = device->make_stream().value();
  auto memory = device->allocate<float>(64, "floats").value();
  auto seen = device->allocate_pinned<float>(64, "seen").value();
  stream.copy(seen.span(), memory.span());
  REQUIRE(stream.synchronize().has_value());
  for (const float value : seen.span().host()) CHECK(std::isnan(value));
}

TEST_CASE("host device: memory is limited like a card's") {
  auto device = Device::open_host({.memory_bytes = 1000});
  auto first = device->allocate<std::byte>(900, "first").value();
  const auto second = device->allocate<std::byte>(101, "second");
  REQUIRE(second.has_error());
  CHECK(second.error().message ==
        "out of device memory: second needs 101 B, host:0 (host memory) has 100 B free of 1000 B");
  CHECK(device->allocate<std::byte>(100, "third").has_value());
}

TEST_CASE("host device: a thread that did not bind is reported") {
  auto device = Device::open_host();
  auto stream = device->make_stream().value();
  auto memory = device->allocate<int32_t>(4, "memory").value();
  std::string report;
  bool worked = false;
  {
    const ScopedCheckHandler handler(throw_report);
    std::thread([&] {
      try {
        stream.fill_bytes(memory.span(), 0);
      } catch (const std::runtime_error& e) {
        report = e.what();
      }
      device->bind();
      stream.fill_bytes(memory.span(), 0);
      worked = stream.synchronize().has_value();
    }).join();
  }
  CHECK_MESSAGE(report.find("get_id") != std::string::npos, report);
  CHECK(worked);
}

TEST_CASE("host device: spans stop at their end") {
  auto device = Device::open_host();
  auto memory = device->allocate<int32_t>(10, "memory").value();
  auto bytes = device->allocate<uint8_t>(7, "bytes").value();
  const ScopedCheckHandler handler(throw_report);
  CHECK_THROWS(memory.span().subspan(4, 7));
  CHECK_THROWS(memory.span().subspan(11, 0));
  CHECK_THROWS(memory.span().subspan(SIZE_MAX, 2));
  CHECK_NOTHROW(memory.span().subspan(10, 0));
  CHECK_THROWS(bytes.span().as<int32_t>());
  CHECK_THROWS(bytes.span().subspan(1, 4).as<int32_t>());
  CHECK(memory.span().as<std::byte>().size() == 40);
}

TEST_CASE("host device: work of the emulator is captured like a copy") {
  auto device = Device::open_host();
  auto stream = device->make_stream().value();
  HostStream* const host = stream.host();
  REQUIRE(host != nullptr);
  CHECK(stream.native() == nullptr);           // no launcher, no kernels
  int runs = 0;
  host->run([&] { ++runs; });
  CHECK(runs == 1);
  stream.begin_capture();
  host->run([&] { ++runs; });
  const Graph graph = stream.end_capture().value();
  CHECK(runs == 1);
  const GraphExec exec = graph.instantiate().value();
  stream.launch(exec);
  stream.launch(exec);
  CHECK(runs == 3);
}

TEST_CASE("host device: a launcher decides what kernel launches get, per stream") {
  // Stands for the emulator's stream: keeps where its launches have to go.
  struct Launcher {
    HostStream& stream;
  };
  int made = 0;
  auto device = Device::open_host({.launcher = [&](HostStream& stream) {
    ++made;
    return std::make_shared<Launcher>(Launcher{stream});
  }});
  auto first = device->make_stream().value();
  auto second = device->make_stream().value();
  CHECK(made == 2);
  CHECK(first.native() != second.native());
  int runs = 0;
  first.begin_capture();
  static_cast<Launcher*>(first.native())->stream.run([&] { ++runs; });
  static_cast<Launcher*>(second.native())->stream.run([&] { runs += 10; });
  CHECK(runs == 10);
  CHECK(first.end_capture().has_value());
}

TEST_CASE("host device: waiting while capturing is a bug") {
  auto device = Device::open_host();
  auto stream = device->make_stream().value();
  stream.begin_capture();
  const ScopedCheckHandler handler(throw_report);
  CHECK_THROWS(static_cast<void>(stream.synchronize()));
  CHECK_THROWS(stream.begin_capture());
  CHECK(stream.end_capture().has_value());
  CHECK_THROWS(static_cast<void>(stream.end_capture()));
}
