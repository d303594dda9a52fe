#include "tests/engine/kernels/cuda/prim/prim_run.h"

#include <doctest/doctest.h>

#include <cstring>

#include "engine/base/check.h"
#include "engine/kernels/cuda/prim/types.h"
#include "engine/kernels/cuda/simt/emulator.h"

namespace swarm::test {
namespace {

uint32_t any_bits(Rng& rng) { return static_cast<uint32_t>(rng.below(uint64_t{1} << 32)); }

float small_integer(Rng& rng) { return static_cast<float>(rng.below(17)) - 8.0f; }

uint32_t draw(Rng& rng, char letter) {
  switch (letter) {
    case 'x': return any_bits(rng);
    case 'u': return any_bits(rng);
    case 'f': return as_word(static_cast<float>(rng.uniform() * 16 - 8));
    case 'p': return as_word(static_cast<float>(rng.uniform() * 8 + 1e-3));
    case 'l': return static_cast<uint32_t>(rng.below(32));
    case 'r': return static_cast<uint32_t>(rng.below(64));
    case 'b': return static_cast<uint32_t>(rng.below(2));
    case 'g': return as_word(small_integer(rng));
    case 'h': return prim::pack(prim::to_f16(small_integer(rng)), prim::to_f16(small_integer(rng)));
    case 'k':
      return prim::pack(prim::to_bf16(small_integer(rng)), prim::to_bf16(small_integer(rng)));
    default: SWARM_CHECK(false, letter);
  }
  return 0;
}

}  // namespace

const PrimCase& emulated_case(const std::string& name) {
  for (const PrimCase& test : emulated::prim_cases())
    if (name == test.name) return test;
  SWARM_CHECK(false, name);
  return emulated::prim_cases()[0];
}

std::vector<uint32_t> random_inputs(Rng& rng, const PrimCase& test, int threads) {
  std::vector<uint32_t> words;
  for (int t = 0; t < threads; ++t)
    for (const char* letter = test.inputs; *letter != '\0'; ++letter)
      words.push_back(draw(rng, *letter));
  return words;
}

std::vector<uint32_t> run_emulated(const std::string& name, const std::vector<uint32_t>& in,
                                   int blocks, int threads) {
  const PrimCase& test = emulated_case(name);
  REQUIRE(in.size() == static_cast<size_t>(blocks * threads) * std::strlen(test.inputs));
  std::vector<std::vector<uint32_t>> results;
  simt::for_all_orders([&](simt::Stream stream, const std::string& order) {
    CAPTURE(order);
    std::vector<uint32_t> out(static_cast<size_t>(blocks * threads * test.outputs), 0xdeadbeef);
    CHECK(test.run(stream, blocks, threads, in.data(), out.data()).ok());
    if (!results.empty()) CHECK(out == results[0]);
    results.push_back(std::move(out));
  });
  return results[0];
}

}  // namespace swarm::test
