// Every primitive on a card against its host body, bit for bit where the result is exact. This is
// what makes the emulator's word about a kernel worth something: its host bodies are our reading
// of the instructions, and a misreading shows here.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "engine/device/device.h"
#include "engine/kernels/cuda/prim/types.h"
#include "tests/engine/kernels/cuda/prim/prim_run.h"

using namespace swarm;
using engine::device::Device;

namespace {

constexpr uint32_t kUnwritten = 0xdeadbeef;

std::vector<uint32_t> run_on_card(Device& device, const test::PrimCase& test,
                                  const std::vector<uint32_t>& in, int blocks, int threads) {
  auto stream = device.make_stream().value();
  const auto outputs = static_cast<size_t>(blocks * threads * test.outputs);
  auto device_in = device.allocate<uint32_t>(in.size(), "inputs").value();
  auto device_out = device.allocate<uint32_t>(outputs, "outputs").value();
  auto host_in = device.allocate_pinned<uint32_t>(in.size(), "inputs").value();
  auto host_out = device.allocate_pinned<uint32_t>(outputs, "outputs").value();
  std::copy(in.begin(), in.end(), host_in.span().data());
  std::fill_n(host_out.span().data(), outputs, kUnwritten);
  stream.copy(device_in.span(), host_in.span());
  stream.copy(device_out.span(), host_out.span());
  const auto status = test.run(static_cast<simt::Stream>(stream.native()), blocks, threads,
                               device_in.span().kernel_pointer(),
                               device_out.span().kernel_pointer());
  device.launched(test.name, status.cuda_error);
  stream.copy(host_out.span(), device_out.span());
  const auto done = stream.synchronize();
  REQUIRE_MESSAGE(done.has_value(), device.lost_reason());
  return {host_out.span().data(), host_out.span().data() + outputs};
}

bool agree(test::Agreement agreement, uint32_t card, uint32_t host) {
  if (card == host) return true;
  if (agreement == test::Agreement::bits) return false;
  const float a = test::as_float(card), b = test::as_float(host);
  return std::abs(a - b) <= 0x1p-20f * std::abs(b);        // false for NaN
}

int threads_of(const std::string& name, Rng& rng) {
  if (name == "ldmatrix" || name == "tile_product") return 32;     // one warp's tiles
  if (name == "async_copy") return 128;
  return static_cast<int>(32 * (1 + rng.below(8)));
}

}  // namespace

TEST_CASE("prim on a card: every primitive agrees with its host body") {
  auto device = Device::open_cuda(0).value();
  Rng rng(51);
  const auto on_card = test::on_device::prim_cases();
  REQUIRE(on_card.size() == test::emulated::prim_cases().size());
  for (const test::PrimCase& test : on_card) {
    CAPTURE(test.name);
    for (int round = 0; round < 20; ++round) {
      const int blocks = 4, threads = threads_of(test.name, rng);
      CAPTURE(threads);
      const auto in = test::random_inputs(rng, test, blocks * threads);
      const auto host = test::run_emulated(test.name, in, blocks, threads);
      const auto card = run_on_card(*device, test, in, blocks, threads);
      int wrong = 0;
      for (size_t i = 0; i < host.size(); ++i) {
        if (agree(test.agreement, card[i], host[i])) continue;
        const size_t outputs = static_cast<size_t>(test.outputs);
        if (wrong++ == 0)
          CHECK_MESSAGE(false, "thread ", i / outputs, " output ", i % outputs, ": card ", card[i],
                        ", host ", host[i]);
      }
      CHECK(wrong == 0);
    }
  }
}

TEST_CASE("prim on a card: conversions agree over all 16-bit patterns") {
  auto device = Device::open_cuda(0).value();
  std::vector<uint32_t> halves, words;
  for (uint32_t i = 0; i < 0x10000; ++i) {
    halves.push_back(i);
    words.push_back(i << 16 | (i % 5 == 0 ? 0x8000u : i % 5 == 1 ? 0x1000u : i * 40503u % 0x10000));
  }
  for (const test::PrimCase& test : test::on_device::prim_cases()) {
    const bool narrow = std::strcmp(test.name, "narrow") == 0;
    if (!narrow && std::strcmp(test.name, "widen") != 0) continue;
    const auto& in = narrow ? words : halves;
    CHECK(run_on_card(*device, test, in, 256, 256) == test::run_emulated(test.name, in, 256, 256));
  }
}

TEST_CASE("prim on a card: mma over fractions agrees within the rounding of the tensor core") {
  auto device = Device::open_cuda(0).value();
  Rng rng(52);
  for (const test::PrimCase& test : test::on_device::prim_cases()) {
    if (std::strcmp(test.name, "mma_f16") != 0) continue;
    std::vector<uint32_t> in;
    for (int i = 0; i < 32 * 10; ++i) {
      const auto draw = [&] { return prim::to_f16(static_cast<float>(rng.uniform() * 2 - 1)); };
      in.push_back(i % 10 < 6 ? prim::pack(draw(), draw())
                              : test::as_word(static_cast<float>(rng.uniform())));
    }
    const auto card = run_on_card(*device, test, in, 1, 32);
    const auto host = test::run_emulated(test.name, in, 1, 32);
    // 17 terms below 1, each cut at 2^-23 of the largest power of two of the sum, 16.
    for (size_t i = 0; i < card.size(); ++i)
      if (i % 12 < 8)
        CHECK(std::abs(test::as_float(card[i]) - test::as_float(host[i])) <= 17 * 0x1p-19f);
  }
}
