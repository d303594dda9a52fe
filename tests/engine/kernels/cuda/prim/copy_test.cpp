// Asynchronous copies, wide loads, atomics, fences: right when used right, reported when not.
#include <doctest/doctest.h>

#include <cmath>
#include <cstring>
#include <stdexcept>

#include "engine/base/check.h"
#include "engine/kernels/cuda/simt/emulator.h"
#include "tests/engine/kernels/cuda/prim/copy_kernels.h"
#include "tests/engine/kernels/cuda/prim/prim_run.h"

using namespace swarm;
using test::CopyFault;

namespace {

constexpr int kTiles = 5;

void throw_report(const std::string& report) { throw std::runtime_error(report); }

std::vector<float> run_copy(simt::Stream stream, CopyFault fault) {
  std::vector<float> in(32 * kTiles), out(32, -1.0f);
  for (size_t i = 0; i < in.size(); ++i) in[i] = static_cast<float>(i);
  const bool ok = test::run_copy(stream, fault, in.data(), out.data(), kTiles).ok();
  CHECK(ok);
  return out;
}

}  // namespace

TEST_CASE("prim: copies arrive at their wait, with zeros where they are not valid") {
  Rng rng(31);
  const auto in = test::random_inputs(rng, test::emulated_case("async_copy"), 128);
  const auto out = test::run_emulated("async_copy", in, 1, 128);
  for (size_t t = 0; t < 128; ++t) {
    const uint32_t* from = &in[(t ^ 1) * 8];
    const uint32_t* got = &out[t * 8];
    for (size_t i = 0; i < 4; ++i) CHECK(got[i] == ((from[7] & 1) != 0 ? from[i] : 0u));
    for (size_t i = 4; i < 6; ++i) CHECK(got[i] == ((from[7] & 2) != 0 ? from[i] : 0u));
    CHECK(got[6] == ((from[7] & 4) != 0 ? from[6] : 0u));
    CHECK(got[7] == from[0]);
  }
}

TEST_CASE("prim: a double-buffered pipeline reads each tile after its wait") {
  simt::for_all_orders([](simt::Stream stream, const std::string& order) {
    CAPTURE(order);
    const auto out = run_copy(stream, CopyFault::none);
    for (int lane = 0; lane < 32; ++lane)
      CHECK(out[static_cast<size_t>(lane)] == static_cast<float>(kTiles * (31 - lane) + 320));
  });
}

#if !defined(__SANITIZE_THREAD__)   // which would report the race and end the process
TEST_CASE("prim: who does not wait for a copy, or for too few groups, gets NaN") {
  for (const CopyFault fault : {CopyFault::no_wait, CopyFault::wait_for_too_few})
    simt::for_all_orders([&](simt::Stream stream, const std::string& order) {
      CAPTURE(order);
      for (const float value : run_copy(stream, fault)) CHECK(std::isnan(value));
    });
}
#endif

TEST_CASE("prim: addresses that a card would fault on are reported with their line") {
  const std::pair<CopyFault, const char*> kCases[] = {
      {CopyFault::not_shared, "copy_async: expected an address in shared memory"},
      {CopyFault::misaligned, "copy_async: expected an address in shared memory aligned to 8"},
      {CopyFault::ldmatrix_misaligned, "ldmatrix_x1: expected an address in shared memory"},
      {CopyFault::ldmatrix_global, "ldmatrix_x1: expected an address in shared memory"}};
  const ScopedCheckHandler handler(throw_report);
  simt::for_all_orders([&](simt::Stream stream, const std::string& order) {
    CAPTURE(order);
    for (const auto& [fault, text] : kCases) {
      std::string report;
      try {
        static_cast<void>(run_copy(stream, fault));
      } catch (const std::runtime_error& error) {
        report = error.what();
      }
      CAPTURE(report);
      CHECK(report.find(text) != std::string::npos);
      CHECK(report.find("copy_kernels.cu:") != std::string::npos);
    }
  });
}

TEST_CASE("prim: wide loads and loads of any alignment return the bytes there") {
  Rng rng(32);
  const auto in = test::random_inputs(rng, test::emulated_case("memory"), 64);
  const auto out = test::run_emulated("memory", in, 1, 64);
  for (size_t t = 0; t < 64; ++t) {
    const uint32_t* from = &in[t * 8];
    const uint32_t* got = &out[t * 16];
    for (size_t i = 0; i < 8; ++i) CHECK(got[i] == from[i]);
    CHECK(got[8] == from[2]);
    CHECK(got[9] == from[3]);
    CHECK(got[10] == from[6]);
    CHECK(got[11] == from[7]);
    CHECK(got[12] == from[1]);
    CHECK(got[13] == from[3]);
    uint32_t bytes = 0, halves = 0;
    std::memcpy(&bytes, reinterpret_cast<const char*>(from) + 5, 4);
    std::memcpy(&halves, reinterpret_cast<const char*>(from) + 10, 4);
    CHECK(got[14] == bytes);
    CHECK(got[15] == halves);
  }
}

TEST_CASE("prim: atomics lose nothing") {
  Rng rng(33);
  const auto in = test::random_inputs(rng, test::emulated_case("atomics"), 2 * 96);
  const auto out = test::run_emulated("atomics", in, 2, 96);
  for (size_t block = 0; block < 2; ++block) {
    uint32_t sum = 0, highest = 0;
    int32_t signed_highest = INT32_MIN;
    uint64_t wide = 0, best = 0;
    for (size_t t = block * 96; t < block * 96 + 96; ++t) {
      sum += in[t * 2];
      wide += uint64_t{in[t * 2]} << 8;
      highest = std::max(highest, in[t * 2]);
      signed_highest = std::max(signed_highest, static_cast<int32_t>(in[t * 2]));
      best = std::max(best, uint64_t{in[t * 2]} << 32 | in[t * 2 + 1]);
    }
    const uint32_t* got = &out[block * 96 * 7];
    CHECK(got[0] == sum);
    CHECK(got[1] == highest);
    CHECK(static_cast<int32_t>(got[2]) == signed_highest);
    CHECK((got[3] | uint64_t{got[4]} << 32) == wide);
    CHECK((got[5] | uint64_t{got[6]} << 32) == best);
  }
}

TEST_CASE("prim: with a fence the last block sees what all blocks wrote") {
  simt::for_all_orders([](simt::Stream stream, const std::string& order) {
    CAPTURE(order);
    uint32_t counter = 0;
    std::vector<float> out(11, -1.0f);
    CHECK(test::sum_by_last_block(stream, &counter, out.data(), 10).ok());
    CHECK(out[10] == 55.0f);
  });
}
