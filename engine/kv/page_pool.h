// engine/kv/page_pool.h — Who owns which KV page: a bounded pool of reference-counted page numbers.
// Knows nothing of contents; the Transformer stores K and V of page p at place p. A page is free
// when its count is zero; double release and use of a free page are bugs (SWARM_CHECK). The same
// history hands out the same pages. Not thread-safe (engine thread).
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

namespace swarm::engine::kv {

using Page = int32_t;

class PagePool {
 public:
  explicit PagePool(int32_t page_count);

  std::optional<Page> acquire();   // count becomes 1; nullopt when none is free
  void retain(Page page);
  void release(Page page);         // the last release frees the page

  int32_t refs(Page page) const;
  int32_t total() const { return static_cast<int32_t>(refs_.size()); }
  int32_t free_count() const { return static_cast<int32_t>(free_.size()); }

  void check_integrity() const;    // O(pages)

 private:
  std::vector<int32_t> refs_;
  std::vector<Page> free_;         // the back goes first
};

}  // namespace swarm::engine::kv
