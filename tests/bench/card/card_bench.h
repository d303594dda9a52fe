// tests/bench/card/card_bench.h — Times work on a device, launch gaps excluded: `copies` instances
// of an operation, each on memory of its own so that nothing comes from the L2, are captured into
// one graph; the graph is launched again and again between two events. One JSON line per case: time
// of one instance (median, 10th and 90th percentile), GB/s, TFLOP/s, and the share of the bandwidth
// that a plain copy reached on the same card a moment before. One thread.
#pragma once

#include <functional>
#include <iosfwd>
#include <string>
#include <vector>

#include "engine/device/device.h"
#include "engine/device/staging.h"

namespace swarm::bench {

namespace dev = engine::device;

// smoke: tiny shapes and two samples, to see that a case runs at all (the emulator).
enum class Size : uint8_t { full, smoke };

// What one instance moves through device memory and computes.
struct Work {
  double bytes = 0;
  double flops = 0;
};

class CardBench {
 public:
  // Only cases whose name contains `filter` are run.
  CardBench(dev::Device& device, std::ostream& out, Size size, std::string filter = "");

  dev::Device& device() { return device_; }
  dev::Stream& stream() { return stream_; }
  bool smoke() const { return size_ == Size::smoke; }
  bool wanted(const std::string& name) const { return name.find(filter_) != std::string::npos; }

  // Device memory of random bytes that are finite in every float type; lives until clear().
  dev::DeviceSpan<uint8_t> random(size_t bytes);
  template <class T>
  dev::DeviceSpan<T> upload(const std::vector<T>& values) {
    auto memory = device_.allocate<uint8_t>(values.size() * sizeof(T), "bench input").value();
    const dev::DeviceSpan<T> span = memory.span().template as<T>();
    kept_.push_back(std::move(memory));
    staging_.upload(span, std::span<const T>(values)).value();
    return span;
  }
  void clear() { kept_.clear(); }

  // Instances that together touch at least three times the L2.
  int copies(double bytes_per_instance) const;

  // enqueue(i): puts instance i of `copies` on stream().
  void measure(const std::string& name, Work work, int copies,
               const std::function<void(int)>& enqueue);

 private:
  double sample_us(const dev::GraphExec& exec, int copies);
  void print(const std::string& name, Work work, int copies, std::vector<double> us);

  dev::Device& device_;
  std::ostream& out_;
  Size size_;
  std::string filter_;
  dev::Stream stream_;
  dev::Staging staging_;
  dev::Event begin_, end_;
  std::vector<uint8_t> noise_;
  std::vector<dev::Buffer<uint8_t>> kept_;
  double copy_gb_per_s_ = 0;
};

// The ceilings: copies, launches, library products. Fills the share column of what follows.
void bench_device(CardBench& bench);
// The kernels of kernels/cuda in the shapes of Qwen3-30B-A3B.
void bench_matmul(CardBench& bench);
void bench_attention(CardBench& bench);

}  // namespace swarm::bench
