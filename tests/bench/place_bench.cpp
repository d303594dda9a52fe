// The question: how long are weights repacked while a model is loaded onto a device? One JSON line
// per weight type: bytes of the file per second of one thread (place_rows over 8 MiB of rows, out
// of 64 MiB that no cache holds), of its CPU time, so that other work on the machine does not
// count. Loading uses all cores, up to 16, and copies the block before at the same time.
// Usage: bench_place [SAMPLES]
#include <algorithm>
#include <charconv>
#include <ctime>
#include <iostream>
#include <string_view>
#include <vector>

#include "engine/base/json.h"
#include "engine/base/rng.h"
#include "engine/kernels/cuda/weights/place_weights.h"

namespace {

using namespace swarm;
using namespace swarm::engine;

constexpr int32_t kCols = 2048;                    // the hidden size of Qwen3-30B-A3B
constexpr size_t kPieceBytes = size_t{8} << 20;    // a block of staging
constexpr size_t kPieces = 8;

double thread_seconds() {
  timespec now{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

Json measure(const formats::BlockType& block, kernels::cuda::WeightType type, int samples) {
  const size_t row_bytes = size_t{kCols} / block.block_elements * block.block_bytes;
  const auto rows = static_cast<int64_t>(kPieceBytes / row_bytes);
  const size_t piece = static_cast<size_t>(rows) * row_bytes;
  std::vector<std::byte> from(piece * kPieces), to(kernels::cuda::placed_bytes(type, rows, kCols));
  Rng rng(1);
  for (std::byte& byte : from) byte = static_cast<std::byte>(rng.next());
  std::vector<double> rates;
  for (int i = -2; i < samples; ++i) {             // the first touch memory
    const std::byte* at = from.data() + static_cast<size_t>(i + 2) % kPieces * piece;
    const double begin = thread_seconds();
    kernels::cuda::place_rows(type, at, row_bytes, rows, kCols, to.data());
    if (i >= 0) rates.push_back(static_cast<double>(piece) / (thread_seconds() - begin) / 1e9);
  }
  std::ranges::sort(rates);
  const auto part = [&](size_t percent) { return rates[(rates.size() - 1) * percent / 100]; };
  return {{"test", "place"}, {"type", block.name}, {"gb_per_second", part(50)},
          {"p10", part(10)}, {"p90", part(90)}, {"samples", samples}};
}

}  // namespace

int main(int argc, char** argv) {
  int samples = 30;
  if (argc > 1) {
    const std::string_view text = argv[1];
    std::from_chars(text.data(), text.data() + text.size(), samples);
  }
  for (const formats::BlockType& block : formats::block_types()) {
    const auto type = kernels::cuda::weight_type(block.type);
    if (type) std::cout << measure(block, *type, std::max(1, samples)).dump() << "\n";
  }
}
