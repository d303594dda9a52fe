// tests/support/fake_transformer.h — A Transformer without weights, for tests of cache and
// scheduler. Its logits are a hash of the tokens it sees by reading them back through the page
// lists, so a wrong page, a missing copy, a page read before it was computed or written while
// shared changes the output or is reported at once (std::logic_error).
#pragma once

#include <algorithm>
#include <limits>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "engine/base/error.h"
#include "engine/base/rng.h"
#include "engine/model/transformer.h"

namespace swarm::test {

class FakeTransformer final : public engine::model::Transformer {
 public:
  using TokenId = engine::TokenId;

  FakeTransformer(int32_t vocab, int32_t context, int32_t page_count, int32_t page_tokens,
                  int32_t batch_tokens_max)
      : page_tokens_(page_tokens), batch_tokens_max_(batch_tokens_max),
        slots_(static_cast<size_t>(page_count) * static_cast<size_t>(page_tokens)) {
    config_.architecture = "fake";
    config_.vocab = vocab;
    config_.context = context;
  }

  // The logits row after `tokens`: what any correct cache must lead to.
  static std::vector<float> expected(std::span<const TokenId> tokens, int32_t vocab) {
    uint64_t hash = 1;
    for (const TokenId token : tokens) hash = mix_seed(hash, static_cast<uint64_t>(token));
    std::vector<float> row(static_cast<size_t>(vocab));
    Rng rng(hash);
    for (float& logit : row) logit = static_cast<float>(rng.uniform() * 8 - 4);
    return row;
  }

  int32_t forward(std::span<const engine::model::SequenceChunk> chunks) override {
    ++forwards;
    size_t tokens = 0;
    for (const auto& chunk : chunks) {
      tokens += chunk.tokens.size();
      check_computed(chunk);
    }
    require(tokens <= static_cast<size_t>(batch_tokens_max_), "batch too large");
    tokens_computed += static_cast<int64_t>(tokens);
    largest_batch = std::max(largest_batch, static_cast<int32_t>(tokens));
    std::set<size_t> written;
    for (const auto& chunk : chunks)
      for (size_t i = 0; i < chunk.tokens.size(); ++i) {
        const auto position = static_cast<size_t>(chunk.position) + i;
        const size_t at = slot(chunk, position);
        require(written.insert(at).second, "two chunks write one slot");
        slots_[at] = {chunk.tokens[i], static_cast<int32_t>(position)};
      }
    values_.clear();
    int32_t rows = 0;
    for (const auto& chunk : chunks) {
      if (chunk.logits == engine::model::LogitsWanted::none) continue;
      std::vector<TokenId> seen;
      const size_t end = static_cast<size_t>(chunk.position) + chunk.tokens.size();
      for (size_t p = 0; p < end; ++p) seen.push_back(slots_[slot(chunk, p)].first);
      std::vector<float> row = expected(seen, config_.vocab);
      if (poison_token >= 0 && seen.back() == poison_token)
        row[0] = std::numeric_limits<float>::quiet_NaN();
      values_.insert(values_.end(), row.begin(), row.end());
      ++rows;
    }
    if (lose_next) throw ErrorException(environment_error("fake device lost"));
    if (fail_next) {
      fail_next = false;
      throw std::runtime_error("fake forward failed");
    }
    return rows;
  }

  std::span<const float> logits(int32_t row) override {
    const auto vocab = static_cast<size_t>(config_.vocab);
    return std::span<const float>(values_).subspan(static_cast<size_t>(row) * vocab, vocab);
  }

  void sample(std::span<const engine::SampleJob> jobs,
              std::span<engine::Sampled> sampled) override {
    for (size_t i = 0; i < jobs.size(); ++i) {
      const auto row = logits(static_cast<int32_t>(i));
      sampled[i] = engine::sample(jobs[i], row.first(static_cast<size_t>(jobs[i].vocab)));
    }
  }

  void copy_page(int32_t from, int32_t to) override {
    ++copies;
    for (int32_t i = 0; i < page_tokens_; ++i)
      slots_[index(to, i)] = slots_[index(from, i)];
  }

  const engine::model::ModelConfig& config() const override { return config_; }
  uint64_t weight_bytes() const override { return 0; }
  uint64_t kv_bytes() const override { return slots_.size() * sizeof(slots_[0]); }
  uint64_t bytes_per_token() const override { return 0; }
  std::string device_name() const override { return "fake"; }

  int64_t tokens_computed = 0;
  int32_t largest_batch = 0;
  int32_t forwards = 0;
  int32_t copies = 0;
  TokenId poison_token = -1;      // the row after this token holds a NaN
  bool fail_next = false;         // the next forward() throws
  bool lose_next = false;         // every forward() from the next one on loses the device

 private:
  static void require(bool condition, const char* text) {
    if (!condition) throw std::logic_error(std::string("fake transformer: ") + text);
  }
  size_t index(int32_t page, int32_t i) const {
    const size_t at = static_cast<size_t>(page) * static_cast<size_t>(page_tokens_) +
                      static_cast<size_t>(i);
    require(page >= 0 && at < slots_.size(), "no such page");
    return at;
  }
  size_t slot(const engine::model::SequenceChunk& chunk, size_t position) const {
    const auto page = static_cast<size_t>(page_tokens_);
    require(position / page < chunk.pages.size(), "position without a page");
    return index(chunk.pages[position / page], static_cast<int32_t>(position % page));
  }
  // Before anything of this call is written: everything below must be there.
  void check_computed(const engine::model::SequenceChunk& chunk) const {
    require(!chunk.tokens.empty(), "empty chunk");
    for (size_t p = 0; p < static_cast<size_t>(chunk.position); ++p)
      require(slots_[slot(chunk, p)].second == static_cast<int32_t>(p), "read before computed");
  }

  int32_t page_tokens_;
  int32_t batch_tokens_max_;
  std::vector<std::pair<TokenId, int32_t>> slots_;   // token and position; the "K and V"
  engine::model::ModelConfig config_;
  std::vector<float> values_;
};

}  // namespace swarm::test
