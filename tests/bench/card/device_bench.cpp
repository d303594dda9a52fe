// What the card itself can do: the numbers that everything else is a share of.
#include "engine/device/blas.h"
#include "tests/bench/card/card_bench.h"
#include "tests/engine/device/add_one.h"

namespace swarm::bench {
namespace {

void bench_copies(CardBench& bench) {
  const size_t bytes = bench.smoke() ? size_t{4096} : size_t{512} << 20;
  const auto from = bench.random(bytes), to = bench.random(bytes);
  bench.measure("copy/device", {.bytes = 2.0 * static_cast<double>(bytes)}, 1,
                [&](int) { bench.stream().copy(to, from); });
  bench.measure("fill/device", {.bytes = static_cast<double>(bytes)}, 1,
                [&](int) { bench.stream().fill_bytes(to, 0x3f); });
  const size_t part = bytes / 4;
  auto pinned = bench.device().allocate_pinned<uint8_t>(part, "bench").value();
  bench.measure("copy/to_device", {.bytes = static_cast<double>(part)}, 1,
                [&](int) { bench.stream().copy(to.first(part), pinned.span()); });
  bench.measure("copy/to_host", {.bytes = static_cast<double>(part)}, 1,
                [&](int) { bench.stream().copy(pinned.span(), from.first(part)); });
  bench.clear();
}

// A kernel of one block in a chain: what a launch costs when it is captured.
void bench_launch(CardBench& bench) {
  const auto values = bench.random(256).as<int32_t>();
  bench.measure("launch/in_graph", {}, bench.smoke() ? 2 : 256, [&](int) {
    const simt::Status status = test::add_one(static_cast<simt::Stream>(bench.stream().native()),
                                              values.kernel_pointer(), 64);
    bench.device().launched("add_one", status.cuda_error);
  });
  bench.clear();
}

void bench_blas(CardBench& bench) {
  const size_t workspace_bytes = dev::blas_workspace_bytes(bench.device().info());
  auto workspace = bench.device().allocate<std::byte>(workspace_bytes, "workspace").value();
  auto blas = dev::Blas::open(bench.device(), bench.stream(), workspace.span());
  if (!blas) return;                       // no cuBLAS: gpu-check's device list says so
  struct Shape {
    int32_t tokens, rows, cols;
  };
  const std::vector<Shape> full{{8192, 8192, 8192}, {2048, 4096, 2048}, {512, 4096, 2048}};
  for (const Shape& s : bench.smoke() ? std::vector<Shape>{{4, 8, 16}} : full) {
    const auto elements = [](int32_t a, int32_t b) {
      return static_cast<size_t>(a) * static_cast<size_t>(b);
    };
    const auto x = bench.random(elements(s.tokens, s.cols) * 2).as<uint16_t>();
    const auto weight = bench.random(elements(s.rows, s.cols) * 2).as<uint16_t>();
    const auto y = bench.random(elements(s.tokens, s.rows) * 4).as<float>();
    const std::string name = "blas/bf16/" + std::to_string(s.rows) + "x" + std::to_string(s.cols) +
                             "/" + std::to_string(s.tokens);
    bench.measure(name, {.flops = 2.0 * s.tokens * s.rows * s.cols}, bench.smoke() ? 1 : 4,
                  [&](int) {
                    (*blas)->gemm({.input = dev::GemmInput::bf16, .tokens = s.tokens,
                                   .rows = s.rows, .cols = s.cols, .x = x, .weight = weight,
                                   .y = y});
                  });
    bench.clear();
  }
}

}  // namespace

void bench_device(CardBench& bench) {
  bench_copies(bench);
  bench_launch(bench);
  bench_blas(bench);
}

}  // namespace swarm::bench
