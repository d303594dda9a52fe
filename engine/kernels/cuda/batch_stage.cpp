#include "engine/kernels/cuda/batch_stage.h"

#include <algorithm>
#include <utility>

namespace swarm::engine::kernels::cuda {
namespace {

size_t count_of(int32_t value) { return static_cast<size_t>(value); }

size_t pages_max(const KernelLimits& limits) {
  return count_of(limits.spans) *
         count_of((limits.context + limits.page_tokens - 1) / limits.page_tokens);
}

// Writes pieces one behind the other and tells where they will lie on the device.
class Writer {
 public:
  Writer(device::PinnedSpan<std::byte> block, device::DeviceSpan<std::byte> to)
      : block_(block), to_(to) {}

  template <class T>
  std::pair<T*, const T*> take(size_t count) {
    static_assert(alignof(T) <= 4);
    const size_t bytes = count * sizeof(T);
    SWARM_CHECK(bytes <= block_.size() - used_, bytes, used_, block_.size());
    auto* here = reinterpret_cast<T*>(block_.data() + used_);
    const auto* there = reinterpret_cast<const T*>(to_.kernel_pointer() + used_);
    used_ += bytes;
    return {here, there};
  }
  const int32_t* put(std::span<const int32_t> values) {
    const auto [here, there] = take<int32_t>(values.size());
    std::copy(values.begin(), values.end(), here);
    return there;
  }
  size_t used() const { return used_; }

 private:
  device::PinnedSpan<std::byte> block_;
  device::DeviceSpan<std::byte> to_;
  size_t used_ = 0;
};

}  // namespace

size_t BatchStage::bytes_for(const KernelLimits& limits) {
  const size_t ints = 3 * count_of(limits.rows) + count_of(limits.wanted) + pages_max(limits);
  return ints * sizeof(int32_t) + count_of(limits.spans) * sizeof(SpanView);
}

Result<BatchStage> BatchStage::make(device::Device& device, device::Stream& stream,
                                    const KernelLimits& limits) {
  SWARM_TRY(auto block, device.allocate_pinned<std::byte>(bytes_for(limits), "the batch"));
  SWARM_TRY(auto sent, device.make_event());
  return BatchStage(stream, std::move(block), std::move(sent), limits.page_tokens);
}

BatchStage::BatchStage(device::Stream& stream, device::PinnedBuffer<std::byte> block,
                       device::Event sent, int32_t page_tokens)
    : stream_(&stream), block_(std::move(block)), sent_(std::move(sent)),
      page_tokens_(page_tokens) {}

BatchView BatchStage::send(const Batch& batch, device::DeviceSpan<std::byte> to) {
  if (pending_) {
    const auto waited = sent_.synchronize();
    if (!waited) throw ErrorException(waited.error());
  }
  Writer writer(block_.span(), to);
  BatchView view;
  view.rows = static_cast<int32_t>(batch.tokens.size());
  view.span_count = static_cast<int32_t>(batch.spans.size());
  view.wanted_count = static_cast<int32_t>(batch.wanted.size());
  shape_ = {.rows = view.rows};
  view.tokens = writer.put(batch.tokens);
  view.positions = writer.put(batch.positions);
  view.wanted = writer.put(batch.wanted);
  const auto [row_span, row_span_there] = writer.take<int32_t>(batch.tokens.size());
  const auto [spans, spans_there] = writer.take<SpanView>(batch.spans.size());
  view.row_span = row_span_there;
  view.spans = spans_there;
  int32_t first_page = 0;
  for (size_t s = 0; s < batch.spans.size(); ++s) {
    const BatchSpan& span = batch.spans[s];
    spans[s] = {.first_row = span.first_row, .count = span.count, .position = span.position,
                .first_page = first_page};
    std::fill_n(row_span + span.first_row, span.count, static_cast<int32_t>(s));
    const int32_t end = span.position + span.count;
    const int32_t page_count = (end + page_tokens_ - 1) / page_tokens_;
    const int32_t* pages = writer.put(span.pages.first(count_of(page_count)));
    if (s == 0) view.pages = pages;
    first_page += page_count;
    shape_.longest_span = std::max(shape_.longest_span, span.count);
    shape_.max_context = std::max(shape_.max_context, end);
  }
  const size_t used = writer.used();
  stream_->copy(to.first(used), block_.span().first(used));
  stream_->record(sent_);
  pending_ = true;
  return view;
}

}  // namespace swarm::engine::kernels::cuda
