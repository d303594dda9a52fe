// Shuffles, votes, reductions and scans against loops over lanes.
#include <doctest/doctest.h>

#include <algorithm>
#include <cmath>

#include "tests/engine/kernels/cuda/prim/prim_run.h"

using namespace swarm;
using test::as_float;

TEST_CASE("prim: shuffles deliver the value of the lane they name") {
  Rng rng(1);
  for (int round = 0; round < 4; ++round) {
    constexpr int kThreads = 64;
    const auto in = test::random_inputs(rng, test::emulated_case("shuffle"), kThreads);
    const auto out = test::run_emulated("shuffle", in, 1, kThreads);
    for (int t = 0; t < kThreads; ++t) {
      CAPTURE(t);
      const int lane = t % 32, first = t - lane;
      const auto n = static_cast<int>(in[static_cast<size_t>(t * 3 + 2)]);
      const auto of = [&](int l, int word) {
        return in[static_cast<size_t>((first + l) * 3 + word)];
      };
      const uint32_t* got = &out[static_cast<size_t>(t * 9)];
      CHECK(got[0] == of(n, 0));
      CHECK(got[1] == of(lane ^ n, 0));
      CHECK(got[2] == of(lane - n < 0 ? lane : lane - n, 0));
      CHECK(got[3] == of(lane + n > 31 ? lane : lane + n, 0));
      CHECK(got[4] == of(n, 0));
      CHECK(got[5] == of(n, 1));
      CHECK(got[6] == (of(n, 0) & 0xffffu));
      CHECK(got[7] == (of(n, 0) & 0xffu));
      CHECK(got[8] == of(n, 0));
    }
  }
}

TEST_CASE("prim: votes see every lane of their warp and no other") {
  for (const uint32_t pattern : {0u, 1u, 0x80000000u, 0xfffffffeu, 0xffffffffu, 0x12345678u}) {
    std::vector<uint32_t> in(96, 1);                       // neighbours vote yes
    for (size_t lane = 0; lane < 32; ++lane) in[32 + lane] = (pattern >> lane) & 1;
    const auto out = test::run_emulated("vote", in, 1, 96);
    for (size_t lane = 0; lane < 32; ++lane) {
      const uint32_t* got = &out[(32 + lane) * 5];
      CHECK(got[0] == pattern);
      CHECK(got[1] == (pattern != 0 ? 1u : 0u));
      CHECK(got[2] == (pattern == 0xffffffffu ? 1u : 0u));
      CHECK(got[3] == 0u);
      CHECK(got[4] == 1u);
      CHECK(out[lane * 5] == 0xffffffffu);
    }
  }
}

TEST_CASE("prim: warp reductions agree with loops; every lane has the same bits") {
  Rng rng(2);
  const auto in = test::random_inputs(rng, test::emulated_case("warp_reduce"), 64);
  const auto out = test::run_emulated("warp_reduce", in, 1, 64);
  for (size_t warp = 0; warp < 2; ++warp) {
    double sum = 0;
    float high = -1e30f, low = 1e30f;
    uint32_t words = 0, lowest = ~0u;
    int32_t highest = INT32_MIN;
    uint64_t best = 0;
    for (size_t lane = 0; lane < 32; ++lane) {
      const uint32_t* mine = &in[(warp * 32 + lane) * 2];
      sum += as_float(mine[0]);
      high = std::max(high, as_float(mine[0]));
      low = std::min(low, as_float(mine[0]));
      words += mine[1];
      highest = std::max(highest, static_cast<int32_t>(mine[1]));
      lowest = std::min(lowest, mine[1]);
      best = std::max(best, mine[1] | uint64_t{mine[0]} << 32);
    }
    uint32_t running = 0;
    for (size_t lane = 0; lane < 32; ++lane) {
      const uint32_t* got = &out[(warp * 32 + lane) * 14];
      running += in[(warp * 32 + lane) * 2 + 1];
      CHECK(got[0] == out[warp * 32 * 14]);
      // 32 terms below 8, five roundings each at most 2^-24 of a partial sum below 256.
      CHECK(std::abs(as_float(got[0]) - sum) <= 5 * 256 * 0x1p-24);
      CHECK(as_float(got[1]) == high);
      CHECK(as_float(got[2]) == low);
      CHECK(got[3] == words);
      CHECK(static_cast<int32_t>(got[4]) == highest);
      CHECK(got[5] == lowest);
      CHECK(got[6] == running);
      double eight = 0;
      int32_t four = INT32_MIN;
      for (size_t l = lane / 8 * 8; l < lane / 8 * 8 + 8; ++l)
        eight += as_float(in[(warp * 32 + l) * 2]);
      for (size_t l = lane / 4 * 4; l < lane / 4 * 4 + 4; ++l)
        four = std::max(four, static_cast<int32_t>(in[(warp * 32 + l) * 2 + 1]));
      CHECK(std::abs(as_float(got[7]) - eight) <= 3 * 64 * 0x1p-24);
      CHECK(static_cast<int32_t>(got[8]) == four);
      CHECK(got[11] == got[0]);        // the documented order of additions, in shuffles
      CHECK(got[13] == got[12]);
      CHECK((got[9] | uint64_t{got[10]} << 32) == best);
    }
  }
}

TEST_CASE("prim: block reductions agree with loops, from one warp to 32") {
  Rng rng(3);
#if defined(__SANITIZE_THREAD__)
  const std::vector<int> sizes{32, 96};
#else
  const std::vector<int> sizes{32, 64, 96, 256, 1024};
#endif
  for (const int threads : sizes) {
    CAPTURE(threads);
    const auto n = static_cast<size_t>(threads);
    const auto in = test::random_inputs(rng, test::emulated_case("block_reduce"), 2 * threads);
    const auto out = test::run_emulated("block_reduce", in, 2, threads);
    for (size_t block = 0; block < 2; ++block) {
      double sum = 0;
      float high = -1e30f, low = 1e30f;
      uint32_t total = 0, below = 0;
      for (size_t t = block * n; t < block * n + n; ++t) {
        sum += as_float(in[t * 2]);
        high = std::max(high, as_float(in[t * 2]));
        low = std::min(low, as_float(in[t * 2]));
        total += in[t * 2 + 1];
      }
      for (size_t t = block * n; t < block * n + n; ++t) {
        const uint32_t* got = &out[t * 7];
        CHECK(got[0] == out[block * n * 7]);
        CHECK(std::abs(as_float(got[0]) - sum) <= 10 * threads * 8 * 0x1p-24);
        CHECK(as_float(got[1]) == high);
        CHECK(as_float(got[2]) == low);
        CHECK(got[3] == total);
        CHECK(got[4] == below);
        CHECK(got[5] == total);
        CHECK(got[6] == below);
        below += in[t * 2 + 1];
      }
    }
  }
}
