#include "engine/text/bpe.h"

#include <algorithm>
#include <bit>
#include <limits>

#include "engine/base/check.h"

namespace swarm::engine::text {
namespace {

constexpr int32_t kGone = -2;

uint64_t pair_key(int32_t left, int32_t right) {
  return (uint64_t{static_cast<uint32_t>(left)} << 32) | static_cast<uint32_t>(right);
}

// For std::*_heap, whose front is the greatest: the lowest rank, then the leftmost.
bool comes_later(const MergeScratch::Candidate& a, const MergeScratch::Candidate& b) {
  return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
}

// Most pieces are a few bytes long: looking at every pair again is faster than a heap there.
void merge_short(const MergeTable& table, std::vector<int32_t>& ids) {
  while (ids.size() > 1) {
    MergeTable::Hit best{.rank = std::numeric_limits<int32_t>::max()};
    size_t best_at = ids.size();
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const auto hit = table.find(ids[i], ids[i + 1]);
      if (!hit || hit->rank >= best.rank) continue;
      best = *hit;
      best_at = i;
    }
    if (best_at == ids.size()) return;
    ids[best_at] = best.joined;
    ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(best_at) + 1);
  }
}

void push_pair(const MergeTable& table, MergeScratch& scratch, int32_t left) {
  auto& symbols = scratch.symbols;
  if (left < 0) return;
  const auto& a = symbols[static_cast<size_t>(left)];
  if (a.next < 0) return;
  const int32_t right_id = symbols[static_cast<size_t>(a.next)].id;
  if (const auto hit = table.find(a.id, right_id)) {
    scratch.queue.push_back({hit->rank, left, a.id, right_id, hit->joined});
    std::push_heap(scratch.queue.begin(), scratch.queue.end(), comes_later);
  }
}

}  // namespace

MergeTable::MergeTable(const std::vector<Merge>& merges)
    : slots_(std::bit_ceil(merges.size() * 2 + 2)) {
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const Merge& merge = merges[rank];
    const uint64_t key = pair_key(merge.left, merge.right);
    size_t at = first_slot(key);
    while (slots_[at].key != kEmpty && slots_[at].key != key) at = (at + 1) & (slots_.size() - 1);
    if (slots_[at].key == kEmpty)
      slots_[at] = {key, {.rank = static_cast<int32_t>(rank), .joined = merge.joined}};
  }
}

size_t MergeTable::first_slot(uint64_t key) const {
  key *= 0x9e3779b97f4a7c15u;  // Fibonacci hashing: 2^64 / golden ratio
  return static_cast<size_t>(key >> 32) & (slots_.size() - 1);
}

std::optional<MergeTable::Hit> MergeTable::find(int32_t left, int32_t right) const {
  if (slots_.empty()) return std::nullopt;
  const uint64_t key = pair_key(left, right);
  for (size_t at = first_slot(key); slots_[at].key != kEmpty; at = (at + 1) & (slots_.size() - 1))
    if (slots_[at].key == key) return slots_[at].hit;
  return std::nullopt;
}

void merge_piece(const MergeTable& table, std::vector<int32_t>& ids, MergeScratch& scratch) {
  constexpr size_t kShort = 24;
  if (ids.size() <= kShort) return merge_short(table, ids);
  SWARM_CHECK(ids.size() < size_t{std::numeric_limits<int32_t>::max()}, ids.size());
  auto& symbols = scratch.symbols;
  const auto count = static_cast<int32_t>(ids.size());
  symbols.resize(ids.size());
  scratch.queue.clear();
  for (int32_t i = 0; i < count; ++i) {
    const auto at = static_cast<size_t>(i);
    symbols[at] = {ids[at], i - 1, i + 1 < count ? i + 1 : -1};
  }
  for (int32_t i = 0; i + 1 < count; ++i) push_pair(table, scratch, i);

  while (!scratch.queue.empty()) {
    std::pop_heap(scratch.queue.begin(), scratch.queue.end(), comes_later);
    const auto best = scratch.queue.back();
    scratch.queue.pop_back();
    auto& left = symbols[static_cast<size_t>(best.position)];
    // Entries are not removed when a neighbour changes; a stale one no longer matches.
    if (left.next < 0 || left.id != best.left) continue;
    auto& right = symbols[static_cast<size_t>(left.next)];
    if (right.id != best.right) continue;
    left.id = best.joined;
    left.next = right.next;
    right.next = kGone;
    if (left.next >= 0) symbols[static_cast<size_t>(left.next)].previous = best.position;
    push_pair(table, scratch, left.previous);
    push_pair(table, scratch, best.position);
  }

  ids.clear();
  for (int32_t i = 0; i != -1; i = symbols[static_cast<size_t>(i)].next)
    ids.push_back(symbols[static_cast<size_t>(i)].id);
}

}  // namespace swarm::engine::text
