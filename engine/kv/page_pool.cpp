#include "engine/kv/page_pool.h"

#include "engine/base/check.h"

namespace swarm::engine::kv {

PagePool::PagePool(int32_t page_count) {
  SWARM_CHECK(page_count >= 1, page_count);
  refs_.assign(static_cast<size_t>(page_count), 0);
  free_.reserve(refs_.size());
  for (Page page = page_count - 1; page >= 0; --page) free_.push_back(page);
}

std::optional<Page> PagePool::acquire() {
  if (free_.empty()) return std::nullopt;
  const Page page = free_.back();
  free_.pop_back();
  refs_[static_cast<size_t>(page)] = 1;
  return page;
}

void PagePool::retain(Page page) {
  SWARM_CHECK(refs(page) > 0, page);
  ++refs_[static_cast<size_t>(page)];
}

void PagePool::release(Page page) {
  SWARM_CHECK(refs(page) > 0, page);
  if (--refs_[static_cast<size_t>(page)] == 0) free_.push_back(page);
}

int32_t PagePool::refs(Page page) const {
  SWARM_CHECK(page >= 0 && page < total(), page, total());
  return refs_[static_cast<size_t>(page)];
}

void PagePool::check_integrity() const {
  std::vector<bool> listed(refs_.size(), false);
  for (const Page page : free_) {
    SWARM_CHECK(refs(page) == 0, page, refs(page));
    SWARM_CHECK(!listed[static_cast<size_t>(page)], page);
    listed[static_cast<size_t>(page)] = true;
  }
  for (Page page = 0; page < total(); ++page)
    SWARM_CHECK((refs(page) == 0) == listed[static_cast<size_t>(page)], page, refs(page));
}

}  // namespace swarm::engine::kv
