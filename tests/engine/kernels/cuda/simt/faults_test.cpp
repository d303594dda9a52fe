// Kernels that must be reported. A tool that stays silent here is blind and fails the test.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <stdexcept>
#include <string>
#include <vector>

#include "engine/base/check.h"
#include "engine/kernels/cuda/simt/emulator.h"
#include "tests/engine/kernels/cuda/simt/faults.h"
#include "tests/support/process.h"
#include "tests/support/support.h"

using namespace swarm;
using test::Fault;

namespace {

void throw_report(const std::string& report) { throw std::runtime_error(report); }

struct Outcome {
  std::string report;                  // empty: the kernel was accepted
  std::vector<float> out;
};

Outcome run(simt::Stream stream, Fault fault, int blocks = 3, int threads = 64) {
  const ScopedCheckHandler handler(throw_report);
  Outcome outcome;
  outcome.out.assign(static_cast<size_t>(blocks * threads), 0.0f);
  try {
    const bool ok = test::run_fault(stream, fault, outcome.out.data(), blocks, threads).ok();
    CHECK(ok);
  } catch (const std::runtime_error& error) {
    outcome.report = error.what();
  }
  return outcome;
}

// In every order the report contains all parts; then a correct kernel runs on the same emulator.
void must_report(Fault fault, const std::vector<std::string>& parts) {
  simt::for_all_orders([&](simt::Stream stream, const std::string& order) {
    CAPTURE(order);
    const Outcome bad = run(stream, fault);
    CAPTURE(bad.report);
    REQUIRE(!bad.report.empty());
    for (const std::string& part : parts) {
      CAPTURE(part);
      CHECK(bad.report.find(part) != std::string::npos);
    }
    const Outcome good = run(stream, Fault::none);
    CHECK(good.report.empty());
    for (size_t i = 0; i < good.out.size(); ++i)
      CHECK(good.out[i] == static_cast<float>(63 - i % 64));
  });
}

// "faults.cu:N" of the first `text` after the first `after`.
std::string line_of(const std::string& text, const std::string& after) {
  const std::string source = test::read_file("tests/engine/kernels/cuda/simt/faults.cu");
  const size_t begin = source.find(after);
  REQUIRE(begin != std::string::npos);
  const size_t at = source.find(text, begin);
  REQUIRE(at != std::string::npos);
  const auto lines = std::count(source.begin(), source.begin() + static_cast<std::ptrdiff_t>(at),
                                '\n');
  return "faults.cu:" + std::to_string(lines + 1);
}

// The planted program in a process of its own: sanitizers end the process that they report about.
test::Finished run_planted(const std::string& fault) {
  return test::run_process({SIMT_PLANTED, fault});
}

}  // namespace

TEST_CASE("simt: a divergent barrier is reported with both lines") {
  must_report(Fault::divergent_barrier,
              {"divergent barrier", line_of("simt::sync_threads();", "if (i < n / 2)"),
               line_of("simt::sync_threads();", "    else\n      ")});
}

TEST_CASE("simt: lanes in different collectives are reported with both lines") {
  const std::string line = line_of("prim::shuffle(1.0f, 0) :", "Fault::divergent_warp)");
  must_report(Fault::divergent_warp, {"divergent warp", "shuffle", "ballot", line});
}

TEST_CASE("simt: a deadlock lists who waits where") {
  must_report(Fault::barrier_and_collective,
              {"deadlock in block (", "threads 0-15 wait in barrier",
               line_of("simt::sync_threads();", "if (i % 32 < 16)"),
               "threads 16-31 wait in shuffle",
               line_of("prim::shuffle(1.0f, 0);", "if (i % 32 < 16)")});
}

TEST_CASE("simt: a collective without one of its lanes is reported") {
  must_report(Fault::lane_left, {line_of("prim::warp_sum(1.0f)", "i == 5")});
}

TEST_CASE("simt: a wrong size of shared memory is reported") {
  must_report(Fault::wrong_shared_bytes, {"1024 bytes", "shared_bytes = 1020"});
}

TEST_CASE("simt: an exception in a kernel is reported, not lost") {
  must_report(Fault::throwing, {"the kernel threw"});
}

TEST_CASE("simt: a wrong launch shape is reported") {
  const ScopedCheckHandler handler(throw_report);
  simt::Emulator emulator;
  float out[64];
  for (const int threads : {0, 33, 1056, -32})
    CHECK_THROWS(static_cast<void>(
        test::run_fault(emulator.stream(), Fault::none, out, 1, threads)));
  CHECK_THROWS(static_cast<void>(test::run_fault(emulator.stream(), Fault::none, out, 0, 64)));
  CHECK_THROWS(static_cast<void>(test::run_fault(nullptr, Fault::none, out, 1, 64)));
}

TEST_CASE("simt: shared memory that nobody wrote is NaN, again in each block") {
  simt::for_all_orders([&](simt::Stream stream, const std::string& order) {
    CAPTURE(order);
    const Outcome outcome = run(stream, Fault::unwritten_memory);
    CHECK(outcome.report.empty());
    for (size_t i = 0; i < outcome.out.size(); ++i)
      CHECK(std::isnan(outcome.out[i]) == (i % 64 != 63));
  });
}

TEST_CASE("simt: bits that nobody wrote differ between two orders") {
  simt::Emulator forward({.order = simt::Order::forward});
  simt::Emulator reverse({.order = simt::Order::reverse});
  const Outcome a = run(forward.stream(), Fault::unwritten_memory);
  const Outcome b = run(reverse.stream(), Fault::unwritten_memory);
  CHECK(std::memcmp(&a.out[0], &b.out[0], sizeof(float)) != 0);
}

#if !defined(__SANITIZE_THREAD__)
TEST_CASE("simt: running off a stack ends the process, and does not write over a neighbour") {
  const test::Finished finished = run_planted("deep_stack");
  CAPTURE(finished.err);
  CHECK(finished.code != 0);
#if defined(__SANITIZE_ADDRESS__)
  CHECK(finished.err.find("stack-overflow") != std::string::npos);
#else
  CHECK(finished.code == 128 + 11);    // SIGSEGV: the guard page
#endif
}
#endif

#if !defined(__SANITIZE_THREAD__)
TEST_CASE("simt: a missing barrier gives other bits in another order") {
  std::vector<std::vector<float>> results;
  simt::for_all_orders([&](simt::Stream stream, const std::string&) {
    const Outcome outcome = run(stream, Fault::missing_barrier);
    CHECK(outcome.report.empty());
    results.push_back(outcome.out);
  });
  const auto differs = [&](size_t a, size_t b) {
    return std::memcmp(results[a].data(), results[b].data(), results[a].size() * 4) != 0;
  };
  CHECK(differs(0, 1));
  CHECK(differs(0, 2));
  CHECK(differs(1, 3));
}
#endif

TEST_CASE("simt: the planted program accepts the correct kernel") {
  const test::Finished finished = run_planted("none");
  CAPTURE(finished.err);
  CHECK(finished.code == 0);
}

#if defined(__SANITIZE_ADDRESS__)
TEST_CASE("simt: AddressSanitizer names the line that overflows shared memory") {
  const test::Finished finished = run_planted("overflow");
  CAPTURE(finished.err);
  CHECK(finished.code != 0);
  CHECK(finished.err.find("heap-buffer-overflow") != std::string::npos);
  CHECK(finished.err.find(line_of("smem.value[kThreadsMax", "")) != std::string::npos);
}
#endif

#if defined(__SANITIZE_THREAD__)
TEST_CASE("simt: ThreadSanitizer names both lines of a missing barrier") {
  const std::string write = line_of("smem.value[i] =", ""), read = line_of("smem.value[from]", "");
  for (const char* fault : {"missing_barrier", "missing_warp_barrier"}) {
    const test::Finished finished = run_planted(fault);
    CAPTURE(finished.err);
    CHECK(finished.code != 0);
    CHECK(finished.err.find("data race") != std::string::npos);
    CHECK(finished.err.find(write) != std::string::npos);
    CHECK(finished.err.find(read) != std::string::npos);
  }
}

TEST_CASE("simt: ThreadSanitizer sees two blocks write the same element") {
  const test::Finished finished = run_planted("block_race");
  CAPTURE(finished.err);
  CHECK(finished.code != 0);
  CHECK(finished.err.find("data race") != std::string::npos);
}
#endif
