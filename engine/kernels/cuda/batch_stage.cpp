#include "engine/kernels/cuda/batch_stage.h"

#include <algorithm>

namespace swarm::engine::kernels::cuda {
namespace {

size_t count_of(int32_t value) { return static_cast<size_t>(value); }

}  // namespace

Result<BatchStage> BatchStage::make(device::Device& device, device::Stream& stream,
                                    const KernelLimits& limits) {
  SWARM_TRY(auto block, StagedBlock::make(device, stream, bytes_for(limits)));
  return BatchStage(std::move(block), limits.page_tokens);
}

BatchView BatchStage::send(const Batch& batch, std::byte* to) {
  block_.begin(to);
  BatchView view;
  view.rows = static_cast<int32_t>(batch.tokens.size());
  view.span_count = static_cast<int32_t>(batch.spans.size());
  view.wanted_count = static_cast<int32_t>(batch.wanted.size());
  view.tokens = block_.put(batch.tokens);
  view.positions = block_.put(batch.positions);
  view.wanted = block_.put(batch.wanted);
  int32_t page_count = 0;
  for (const BatchSpan& span : batch.spans) page_count += pages_of(span);
  const auto row_span = block_.take<int32_t>(batch.tokens.size());
  const auto spans = block_.take<SpanView>(batch.spans.size());
  const auto pages = block_.take<int32_t>(count_of(page_count));
  view.row_span = row_span.there;
  view.spans = spans.there;
  view.pages = pages.there;
  shape_ = {};
  int32_t first_page = 0;
  for (size_t s = 0; s < batch.spans.size(); ++s) {
    const BatchSpan& span = batch.spans[s];
    spans.here[s] = {.first_row = span.first_row, .count = span.count, .position = span.position,
                     .first_page = first_page};
    std::fill_n(row_span.here + span.first_row, span.count, static_cast<int32_t>(s));
    std::copy_n(span.pages.begin(), pages_of(span), pages.here + first_page);
    first_page += pages_of(span);
    shape_.longest_span = std::max(shape_.longest_span, span.count);
    shape_.max_context = std::max(shape_.max_context, span.position + span.count);
  }
  block_.send();
  return view;
}

}  // namespace swarm::engine::kernels::cuda
