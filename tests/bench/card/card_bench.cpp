#include "tests/bench/card/card_bench.h"

#include <algorithm>
#include <cmath>
#include <ostream>

#include "engine/base/json.h"
#include "engine/base/rng.h"

namespace swarm::bench {
namespace {

double percentile(const std::vector<double>& sorted, double share) {
  return sorted[static_cast<size_t>(share * static_cast<double>(sorted.size() - 1) + 0.5)];
}

double rounded(double value) {
  if (value == 0) return 0;
  const double unit = std::pow(10, 3 - std::floor(std::log10(std::abs(value))));
  return std::round(value * unit) / unit;
}

}  // namespace

CardBench::CardBench(dev::Device& device, std::ostream& out, Size size, std::string filter)
    : device_(device),
      out_(out),
      size_(size),
      filter_(std::move(filter)),
      stream_(device.make_stream().value()),
      staging_(dev::Staging::make(device, stream_).value()),
      begin_(device.make_event().value()),
      end_(device.make_event().value()),
      noise_(smoke() ? 4096 : size_t{32} << 20) {
  Rng rng(30);
  // Without bit 6 of any byte f16, bf16 and f32 stay below 2 whatever the alignment.
  for (uint8_t& byte : noise_) byte = static_cast<uint8_t>(rng.next() & 0xbf);
}

dev::DeviceSpan<uint8_t> CardBench::random(size_t bytes) {
  auto memory = device_.allocate<uint8_t>(bytes, "bench memory").value();
  const dev::DeviceSpan<uint8_t> span = memory.span();
  kept_.push_back(std::move(memory));
  const size_t first = std::min(bytes, noise_.size());
  staging_.upload(span.first(first), std::span<const uint8_t>(noise_).first(first)).value();
  for (size_t at = first; at < bytes; at += first) {
    const size_t count = std::min(first, bytes - at);
    stream_.copy(span.subspan(at, count), span.first(count));
  }
  stream_.synchronize().value();
  return span;
}

int CardBench::copies(double bytes_per_instance) const {
  if (smoke()) return 2;
  const double wanted = 3 * static_cast<double>(device_.info().l2_bytes) / bytes_per_instance;
  return static_cast<int>(std::clamp(std::ceil(wanted), 4.0, 256.0));
}

double CardBench::sample_us(const dev::GraphExec& exec, int copies) {
  stream_.record(begin_);
  stream_.launch(exec);
  stream_.record(end_);
  stream_.synchronize().value();
  return static_cast<double>(end_.elapsed_ms_since(begin_).value()) * 1000 / copies;
}

void CardBench::measure(const std::string& name, Work work, int copies,
                        const std::function<void(int)>& enqueue) {
  if (!wanted(name)) return;
  enqueue(0);                              // libraries and modules set themselves up
  stream_.synchronize().value();
  stream_.begin_capture();
  for (int i = 0; i < copies; ++i) enqueue(i);
  const dev::GraphExec exec = stream_.end_capture().value().instantiate().value();
  const int warm = smoke() ? 0 : 3, samples = smoke() ? 2 : 30;
  for (int i = 0; i < warm; ++i) sample_us(exec, copies);
  std::vector<double> us;
  for (int i = 0; i < samples; ++i) us.push_back(sample_us(exec, copies));
  print(name, work, copies, std::move(us));
}

void CardBench::print(const std::string& name, Work work, int copies, std::vector<double> us) {
  std::sort(us.begin(), us.end());
  const double median = percentile(us, 0.5);
  const double gb_per_s = work.bytes / median / 1e3;
  if (name == "copy/device") copy_gb_per_s_ = gb_per_s;
  Json line{{"test", name},
            {"us", rounded(median)},
            {"us_p10", rounded(percentile(us, 0.1))},
            {"us_p90", rounded(percentile(us, 0.9))},
            {"copies", copies}};
  if (work.bytes > 0) {
    line["gb_per_s"] = rounded(gb_per_s);
    if (copy_gb_per_s_ > 0) line["of_copy"] = rounded(gb_per_s / copy_gb_per_s_);
  }
  if (work.flops > 0) line["tflop_per_s"] = rounded(work.flops / median / 1e6);
  out_ << dump_json(line) << std::endl;    // a bench that is stopped keeps what it had
}

}  // namespace swarm::bench
