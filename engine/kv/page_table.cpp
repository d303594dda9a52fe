#include "engine/kv/page_table.h"

#include <algorithm>

#include "engine/base/check.h"

namespace swarm::engine::kv {

PageTable::~PageTable() { SWARM_CHECK(pages_.empty() && nodes_.empty(), pages_.size()); }

int32_t PageTable::pages_for(int64_t tokens) const {
  const int64_t page = cache_->page_tokens();
  return static_cast<int32_t>((tokens + page - 1) / page);
}

std::span<const TokenId> PageTable::page_of(std::span<const TokenId> tokens, size_t index) const {
  const auto page = static_cast<size_t>(cache_->page_tokens());
  return tokens.subspan(index * page, std::min(page, tokens.size() - index * page));
}

std::optional<PageTable::Attached> PageTable::attach(const PrefixMatch& match,
                                                     std::span<const TokenId> tokens,
                                                     uint64_t owner, int32_t spare, TimePoint now,
                                                     Pressure pressure) {
  SWARM_CHECK(pages_.empty() && nodes_.empty(), owner);
  for (const NodeId node : match.nodes) {   // first of all, so that nothing evicts them
    cache_->lock(node);
    pool_->retain(cache_->page(node));
    nodes_.push_back(node);
    pages_.push_back(cache_->page(node));
  }
  published_ = nodes_.size();
  const Page partial = match.partial_tokens > 0 ? cache_->page(match.partial) : -1;
  if (partial >= 0) cache_->touch(match.partial);
  const auto have = static_cast<int32_t>(pages_.size());
  if (!allocate(pages_for(std::ssize(tokens)) - have, spare, now, pressure)) {
    release(tokens, 0, {}, now);
    return std::nullopt;
  }
  Attached attached{.cached_tokens = have * cache_->page_tokens() + match.partial_tokens};
  // The source may have been evicted just now; its contents stay until the next forward pass.
  if (partial >= 0)
    attached.copy = PageCopy{.from = partial, .to = pages_[static_cast<size_t>(have)]};
  claim(tokens, owner);
  return attached;
}

bool PageTable::allocate(int32_t count, int32_t spare, TimePoint now, Pressure pressure) {
  if (pool_->free_count() < count + spare &&
      pool_->free_count() + cache_->evictable_count(now, pressure) < count + spare)
    return false;
  for (int32_t i = 0; i < count; ++i) {
    std::optional<Page> page = pool_->acquire();
    while (!page && cache_->evict_one(now, pressure)) page = pool_->acquire();
    SWARM_CHECK(page.has_value(), count, spare);
    pages_.push_back(*page);
  }
  return true;
}

void PageTable::claim(std::span<const TokenId> tokens, uint64_t owner) {
  while (nodes_.size() < pages_.size()) {
    const auto page = page_of(tokens, nodes_.size());
    const NodeId node = cache_->claim(last_node(), page, pages_[nodes_.size()], owner);
    if (node == kNoNode) return;
    if (page.size() < static_cast<size_t>(cache_->page_tokens())) {
      tail_ = node;
      tail_ready_ = false;
      return;
    }
    nodes_.push_back(node);
  }
}

bool PageTable::reserve(int32_t tokens, TimePoint now, Pressure pressure) {
  const int32_t missing = pages_for(tokens) - static_cast<int32_t>(pages_.size());
  return missing <= 0 || allocate(missing, 0, now, pressure);
}

void PageTable::publish(int32_t computed) {
  const auto page = static_cast<size_t>(cache_->page_tokens());
  const auto full = static_cast<size_t>(computed) / page;
  while (published_ < std::min(nodes_.size(), full)) cache_->publish(nodes_[published_++]);
  if (tail_ == kNoNode || tail_ready_) return;
  if (nodes_.size() * page + cache_->tokens(tail_).size() > static_cast<size_t>(computed)) return;
  cache_->publish(tail_);
  tail_ready_ = true;
}

void PageTable::commit(std::span<const TokenId> tokens, int32_t computed) {
  publish(computed);
  const auto full = static_cast<size_t>(computed / cache_->page_tokens());
  while (nodes_.size() < full) {
    const size_t index = nodes_.size();
    drop_tail();
    const NodeId node = cache_->insert(last_node(), page_of(tokens, index), pages_[index]);
    if (node == kNoNode) return;    // a twin is computing the same page; try again later
    if (cache_->page(node) != pages_[index]) {   // a twin was faster: use its page
      pool_->retain(cache_->page(node));
      pool_->release(pages_[index]);
      pages_[index] = cache_->page(node);
    }
    nodes_.push_back(node);
    ++published_;
  }
}

void PageTable::drop_tail() {
  if (tail_ == kNoNode) return;
  SWARM_CHECK(tail_ready_, tail_);
  cache_->remove_own(tail_);
  tail_ = kNoNode;
}

void PageTable::share_tail(std::span<const TokenId> tokens, int32_t computed) {
  const auto page = static_cast<size_t>(cache_->page_tokens());
  const auto count = static_cast<size_t>(computed);
  if (nodes_.size() != count / page || published_ != nodes_.size() || count % page == 0) return;
  if (tail_ != kNoNode && !tail_ready_) return;
  drop_tail();
  const Page own = pages_[nodes_.size()];
  const NodeId node = cache_->insert(last_node(), page_of(tokens.first(count), nodes_.size()), own);
  if (node == kNoNode) return;
  if (cache_->page(node) != own) {    // the same tokens lie in somebody else's page already
    cache_->unlock(node);
    return;
  }
  tail_ = node;
  tail_ready_ = true;
}

void PageTable::abandon_pending() {
  if (tail_ != kNoNode && !tail_ready_) {
    cache_->abandon(tail_);
    tail_ = kNoNode;
  }
  while (nodes_.size() > published_) {
    cache_->abandon(nodes_.back());
    nodes_.pop_back();
  }
}

void PageTable::release(std::span<const TokenId> tokens, int32_t computed,
                        const Retention& retention, TimePoint now) {
  abandon_pending();
  if (!retention.drop) share_tail(tokens, computed);
  std::vector<NodeId> path = nodes_;
  if (tail_ != kNoNode) path.push_back(tail_);
  for (size_t i = 0; i < path.size(); ++i) {
    cache_->keep(path[i], retention.keep_until);
    const auto end = static_cast<int64_t>(i + 1) * cache_->page_tokens();
    if (end > retention.pin_tokens || path[i] == tail_) continue;
    if (cache_->is_pinned(path[i]) || cache_->pinned_count() < retention.pins_max)
      cache_->pin(path[i], retention.pin_owner);
  }
  std::reverse(path.begin(), path.end());   // the root side is used last, so it is evicted last
  for (const NodeId node : path) cache_->unlock(node);
  for (const Page page : pages_) pool_->release(page);
  nodes_.clear();
  pages_.clear();
  published_ = 0;
  tail_ = kNoNode;
  if (!retention.drop) return;
  for (const NodeId node : path)
    if (!cache_->drop(node, now)) break;
}

void PageTable::count_references(std::span<int32_t> counts) const {
  for (const Page page : pages_) ++counts[static_cast<size_t>(page)];
}

void PageTable::check_integrity(std::span<const TokenId> tokens, int32_t computed) const {
  const auto page = static_cast<size_t>(cache_->page_tokens());
  SWARM_CHECK(pages_for(computed) <= std::ssize(pages_), computed, pages_.size());
  SWARM_CHECK(published_ <= nodes_.size() && nodes_.size() <= pages_.size(), published_);
  SWARM_CHECK(published_ * page <= static_cast<size_t>(computed), published_, computed);
  for (size_t i = 0; i < nodes_.size(); ++i) {
    const auto want = page_of(tokens, i), got = cache_->tokens(nodes_[i]);
    SWARM_CHECK(std::equal(want.begin(), want.end(), got.begin(), got.end()), i);
    SWARM_CHECK(cache_->page(nodes_[i]) == pages_[i] && cache_->live(nodes_[i]) > 0, i);
  }
  if (tail_ != kNoNode)
    SWARM_CHECK(cache_->page(tail_) == pages_[nodes_.size()], tail_);
}

}  // namespace swarm::engine::kv
