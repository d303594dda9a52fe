// Every verb that fails loses the device, exactly once, with what was being done and why; the
// backend is not called again. A decorator around the host backend plays the broken card.
#include <doctest/doctest.h>

#include <functional>
#include <vector>

#include "tests/engine/device/failing_backend.h"

using namespace swarm;
using namespace swarm::engine::device;

namespace {

// Everything a step may do, on objects made before. Returns the number of results that were errors.
int use_everything(Device& device, Stream& stream, Event& event, const GraphExec& exec,
                   Buffer<int32_t>& memory, PinnedBuffer<int32_t>& pinned) {
  device.bind();
  stream.copy(memory.span(), pinned.span());
  stream.copy(pinned.span(), memory.span());
  stream.copy(memory.span().first(2), memory.span().subspan(2, 2));
  stream.fill_bytes(memory.span(), 0);
  stream.record(event);
  stream.wait(event);
  device.launched("a_kernel");
  stream.launch(exec);
  static_cast<void>(event.happened());
  int errors = 0;
  errors += event.synchronize().has_error();
  errors += event.elapsed_ms_since(event).has_error();
  errors += device.memory().has_error();
  errors += device.make_event().has_error();
  errors += device.make_stream().has_error();
  errors += device.allocate<int32_t>(1, "x").has_error();
  stream.begin_capture();
  const Result<Graph> graph = stream.end_capture();
  errors += graph.has_error();
  if (graph) errors += graph->instantiate().has_error();
  errors += stream.synchronize().has_error();
  errors += device.synchronize().has_error();
  return errors;
}

struct Outcome {
  int errors = 0;
  int calls_after = 0;     // verbs of the backend after the one that failed
  std::string reason;
};

// fail_at: which verb fails, counted from 0 after set-up; -1 for none.
Outcome run(int fail_at, int* calls = nullptr) {
  auto owned = std::make_unique<test::FailingBackend>();
  test::FailingBackend& backend = *owned;
  Device device(std::move(owned));
  Stream stream = device.make_stream().value();
  Event event = device.make_event().value();
  stream.record(event);
  auto memory = device.allocate<int32_t>(4, "memory").value();
  auto pinned = device.allocate_pinned<int32_t>(4, "pinned").value();
  stream.begin_capture();
  stream.fill_bytes(memory.span(), 1);
  const Graph graph = stream.end_capture().value();
  const GraphExec exec = graph.instantiate().value();
  backend.fail_after(fail_at);
  Outcome out{.errors = use_everything(device, stream, event, exec, memory, pinned),
              .calls_after = backend.calls() - fail_at - 1,
              .reason = device.lost_reason()};
  if (calls != nullptr) *calls = backend.calls();
  return out;
}

}  // namespace

TEST_CASE("device: nothing is lost while every verb succeeds") {
  const Outcome fine = run(-1);
  CHECK(fine.errors == 0);
  CHECK(fine.reason.empty());
}

TEST_CASE("device: each verb that fails loses the device and is the last one called") {
  int calls = 0;
  run(-1, &calls);
  REQUIRE(calls > 20);
  for (int at = 0; at < calls; ++at) {
    CAPTURE(at);
    const Outcome broken = run(at);
    CHECK(broken.errors > 0);
    CHECK(broken.calls_after == 0);
    CHECK_MESSAGE(broken.reason.find(": broken on purpose") != std::string::npos, broken.reason);
  }
}

TEST_CASE("device: a refused launch names the kernel") {
  auto owned = std::make_unique<test::FailingBackend>();
  test::FailingBackend& backend = *owned;
  Device device(std::move(owned));
  backend.fail_after(0);
  device.launched("rms_norm");
  CHECK(device.lost_reason() == "launching rms_norm: broken on purpose");
}

TEST_CASE("device: what a launch returned loses the device too") {
  auto device = Device::open_host();
  device->launched("rms_norm", 0);
  CHECK_FALSE(device->lost());
  device->launched("rms_norm", 9);
  CHECK(device->lost_reason() == "launching rms_norm: error 9");
}

TEST_CASE("device: with blocking launches a fault names the kernel that caused it") {
  auto owned = std::make_unique<test::FailingBackend>();
  test::FailingBackend& backend = *owned;
  Device device(std::move(owned));
  device.set_blocking_launches(true);
  backend.fail_after(1);
  device.launched("rms_norm");
  CHECK(device.lost_reason() == "running rms_norm: broken on purpose");
}
