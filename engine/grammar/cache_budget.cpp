#include "engine/grammar/cache_budget.h"

namespace swarm::engine::grammar {

CacheBudget::Slot CacheBudget::add(CacheOwner& owner, int32_t what, size_t bytes) {
  entries_.push_front({&owner, what, bytes});
  bytes_ += bytes;
  const Slot slot = entries_.begin();
  make_room();
  return slot;
}

void CacheBudget::resize(Slot slot, size_t bytes) {
  bytes_ = bytes_ - slot->bytes + bytes;
  slot->bytes = bytes;
  use(slot);
  make_room();
}

void CacheBudget::remove(Slot slot) {
  bytes_ -= slot->bytes;
  entries_.erase(slot);
}

// The newest slot stays.
void CacheBudget::make_room() {
  while (bytes_ > bytes_max_ && entries_.size() > 1) {
    const Entry oldest = entries_.back();
    bytes_ -= oldest.bytes;
    entries_.pop_back();
    oldest.owner->forget(oldest.what);
  }
}

}  // namespace swarm::engine::grammar
