// engine/kv/page_table.h — The KV view of one live context: which page holds which of its tokens,
// and which of these pages the prefix cache knows. Holds one reference of every page it lists.
// Token t lies in pages()[t / page_tokens], slot t % page_tokens. Pages shared with others are full
// and never written; a page that is shared only in part is copied first (PageCopy, to be carried
// out before the next forward pass, in order).
// The caller passes the token list each time; the table does not keep a second copy.
// Not thread-safe (engine thread).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "engine/kv/page_pool.h"
#include "engine/kv/prefix_cache.h"

namespace swarm::engine::kv {

struct PageCopy {
  Page from = -1;
  Page to = -1;
};

// What happens to the pages when a context ends.
struct Retention {
  TimePoint keep_until = TimePoint::min();
  int32_t pin_tokens = 0;           // pins the pages that lie inside the first N tokens
  uint64_t pin_owner = 0;           // for whom
  int32_t pins_max = INT32_MAX;     // no page more once so many of the cache are pinned
  bool drop = false;                // frees what nobody else uses, keeps or has pinned
};

class PageTable {
 public:
  // pool and cache outlive the table.
  PageTable(PagePool& pool, PrefixCache& cache) : pool_(&pool), cache_(&cache) {}
  ~PageTable();                     // must have been released
  PageTable(const PageTable&) = delete;
  PageTable& operator=(const PageTable&) = delete;

  struct Attached {
    int32_t cached_tokens = 0;      // K and V of these need not be computed
    std::optional<PageCopy> copy = std::nullopt;
  };
  // Takes the matched prefix, gets pages for all tokens and claims those it will compute.
  // All or nothing: nullopt when fewer than the missing pages + spare can be had.
  std::optional<Attached> attach(const PrefixMatch& match, std::span<const TokenId> tokens,
                                 uint64_t owner, int32_t spare, TimePoint now, Pressure pressure);
  // Pages for positions [0, tokens). False (and unchanged) when they cannot be had.
  bool reserve(int32_t tokens, TimePoint now, Pressure pressure);
  // K and V of tokens[0, computed) are in their pages now: lets others see the full ones.
  void commit(std::span<const TokenId> tokens, int32_t computed);
  // Makes the computed part of the last page visible too (before a fork, at the end).
  void share_tail(std::span<const TokenId> tokens, int32_t computed);
  void release(std::span<const TokenId> tokens, int32_t computed, const Retention& retention,
               TimePoint now);

  std::span<const Page> pages() const { return pages_; }
  int32_t pages_for(int64_t tokens) const;
  void count_references(std::span<int32_t> counts) const;
  void check_integrity(std::span<const TokenId> tokens, int32_t computed) const;

 private:
  bool allocate(int32_t count, int32_t spare, TimePoint now, Pressure pressure);
  void claim(std::span<const TokenId> tokens, uint64_t owner);
  void publish(int32_t computed);
  void abandon_pending();
  void drop_tail();
  NodeId last_node() const { return nodes_.empty() ? kRoot : nodes_.back(); }
  std::span<const TokenId> page_of(std::span<const TokenId> tokens, size_t index) const;

  PagePool* pool_;
  PrefixCache* cache_;
  std::vector<Page> pages_;
  std::vector<NodeId> nodes_;       // nodes_[i] registers pages_[i]; locked
  size_t published_ = 0;            // the first of them are ready
  NodeId tail_ = kNoNode;           // partial node of pages_[nodes_.size()]; locked
  bool tail_ready_ = false;
};

}  // namespace swarm::engine::kv
