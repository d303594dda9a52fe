#include "engine/kv/prefix_cache.h"

#include <algorithm>

#include "engine/base/check.h"

namespace swarm::engine::kv {
namespace {

int32_t shared_tokens(std::span<const TokenId> a, std::span<const TokenId> b) {
  const auto [left, right] = std::mismatch(a.begin(), a.end(), b.begin(), b.end());
  return static_cast<int32_t>(left - a.begin());
}

}  // namespace

bool PrefixCache::TokensLess::operator()(std::span<const TokenId> a,
                                         std::span<const TokenId> b) const {
  return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
}

PrefixCache::PrefixCache(PagePool& pool, int32_t page_tokens)
    : pool_(pool), page_tokens_(page_tokens) {
  SWARM_CHECK(page_tokens >= 1, page_tokens);
  nodes_.resize(1);
  nodes_[kRoot].used = true;
  nodes_[kRoot].ready = true;
}

const PrefixCache::Node& PrefixCache::at(NodeId node) const {
  SWARM_CHECK(node >= 0 && static_cast<size_t>(node) < nodes_.size(), node);
  const Node& found = nodes_[static_cast<size_t>(node)];
  SWARM_CHECK(found.used, node);
  return found;
}

PrefixCache::Node& PrefixCache::at(NodeId node) {
  return const_cast<Node&>(static_cast<const PrefixCache&>(*this).at(node));
}

// The child of parent that shares the most tokens with `tokens` among those with the given state.
// In lexicographic order the number of shared tokens only falls with the distance, so the first
// suitable child on either side is the best of its side.
PrefixCache::Neighbour PrefixCache::nearest(const Node& parent, std::span<const TokenId> tokens,
                                            bool ready) const {
  Neighbour best;
  const auto consider = [&](const Children::value_type& child) {
    const int32_t shared = shared_tokens(child.first, tokens);
    const bool suitable = at(child.second).ready == ready;
    if (suitable && shared > best.shared) best = {.node = child.second, .shared = shared};
    return !suitable && shared > 0;   // go on?
  };
  const auto middle = parent.children.lower_bound(tokens);
  for (auto it = middle; it != parent.children.end() && consider(*it); ++it) continue;
  for (auto it = middle; it != parent.children.begin();)
    if (!consider(*--it)) break;
  return best;
}

PrefixMatch PrefixCache::match(std::span<const TokenId> tokens) const {
  const auto page = static_cast<size_t>(page_tokens_);
  PrefixMatch found;
  NodeId node = kRoot;
  while (tokens.size() >= page) {
    const auto child = at(node).children.find(tokens.first(page));
    if (child == at(node).children.end()) break;
    node = child->second;
    tokens = tokens.subspan(page);
    if (!at(node).ready)
      found.wait_for = NodeRef{.node = node, .serial = at(node).serial, .owner = at(node).owner};
    else
      found.nodes.push_back(node);    // below a pending node nothing is ready
  }
  if (found.wait_for) return found;
  const auto rest = tokens.first(std::min(tokens.size(), page));
  const Neighbour ready = nearest(at(node), rest, true);
  found.partial = ready.node;
  found.partial_tokens = ready.shared;
  // A page of which only a part would be shared is worth waiting for from half a page on.
  const Neighbour pending = nearest(at(node), rest, false);
  if (pending.node != kNoNode && pending.shared >= ready.shared + std::max(1, page_tokens_ / 2))
    found.wait_for = NodeRef{.node = pending.node, .serial = at(pending.node).serial,
                             .owner = at(pending.node).owner};
  return found;
}

bool PrefixCache::is_pending(const NodeRef& ref) const {
  const Node& node = nodes_[static_cast<size_t>(ref.node)];
  return node.used && node.serial == ref.serial && !node.ready;
}

void PrefixCache::unlist(NodeId node) { lru_.erase({at(node).last_used, node}); }

void PrefixCache::list_if_idle(NodeId node) {
  const Node& n = at(node);
  if (node != kRoot && n.live == 0 && n.children.empty()) lru_.insert({n.last_used, node});
}

void PrefixCache::lock(NodeId node) {
  Node& n = at(node);
  SWARM_CHECK(n.ready && node != kRoot, node);
  if (n.live == 0) {
    unlist(node);
    --unused_;
  }
  ++n.live;
}

void PrefixCache::unlock(NodeId node) {
  Node& n = at(node);
  SWARM_CHECK(n.ready && n.live > 0, node, n.live);
  if (--n.live > 0) return;
  ++unused_;
  n.last_used = ++tick_;
  list_if_idle(node);
}

void PrefixCache::touch(NodeId node) {
  unlist(node);
  at(node).last_used = ++tick_;
  list_if_idle(node);
}

NodeId PrefixCache::create(NodeId parent, std::span<const TokenId> tokens, Page page) {
  SWARM_CHECK(!tokens.empty() && tokens.size() <= static_cast<size_t>(page_tokens_),
              tokens.size());
  SWARM_CHECK(parent == kRoot ||
              at(parent).tokens->size() == static_cast<size_t>(page_tokens_), parent);
  NodeId node = static_cast<NodeId>(nodes_.size());
  if (free_nodes_.empty()) {
    nodes_.emplace_back();
  } else {
    node = free_nodes_.back();
    free_nodes_.pop_back();
  }
  unlist(parent);
  const auto [child, fresh] =
      at(parent).children.emplace(std::vector<TokenId>(tokens.begin(), tokens.end()), node);
  SWARM_CHECK(fresh, parent);
  Node& n = nodes_[static_cast<size_t>(node)];
  n = Node{};
  n.used = true;
  n.parent = parent;
  n.page = page;
  n.tokens = &child->first;
  n.live = 1;
  n.serial = ++serial_;
  n.last_used = ++tick_;
  pool_.retain(page);
  return node;
}

void PrefixCache::erase(NodeId node) {
  Node& n = at(node);
  SWARM_CHECK(node != kRoot && n.children.empty(), node);
  unlist(node);
  if (n.live == 0) --unused_;
  if (!n.pins.empty()) --pinned_;
  pool_.release(n.page);
  const NodeId parent = n.parent;
  Children& siblings = at(parent).children;
  siblings.erase(siblings.find(std::span<const TokenId>(*n.tokens)));
  n = Node{};
  free_nodes_.push_back(node);
  list_if_idle(parent);
}

NodeId PrefixCache::claim(NodeId parent, std::span<const TokenId> tokens, Page page,
                          uint64_t owner) {
  if (at(parent).children.contains(tokens)) return kNoNode;
  const NodeId node = create(parent, tokens, page);
  at(node).owner = owner;
  return node;
}

void PrefixCache::publish(NodeId node) {
  SWARM_CHECK(!at(node).ready, node);
  at(node).ready = true;
  absorb_prefixes(node);
}

void PrefixCache::abandon(NodeId node) {
  SWARM_CHECK(!at(node).ready && at(node).live == 1, node, at(node).live);
  erase(node);
}

NodeId PrefixCache::insert(NodeId parent, std::span<const TokenId> tokens, Page page) {
  const auto found = at(parent).children.find(tokens);
  if (found != at(parent).children.end()) {
    if (!at(found->second).ready) return kNoNode;
    lock(found->second);
    return found->second;
  }
  const auto size = static_cast<int32_t>(tokens.size());
  if (size < page_tokens_ && nearest(at(parent), tokens, true).shared == size) return kNoNode;
  const NodeId node = create(parent, tokens, page);
  at(node).ready = true;
  absorb_prefixes(node);
  return node;
}

// Unlocked partial siblings whose tokens all lie in `node` too are of no more use.
void PrefixCache::absorb_prefixes(NodeId node) {
  const Children& siblings = at(at(node).parent).children;
  for (auto it = siblings.find(std::span<const TokenId>(*at(node).tokens));
       it != siblings.begin();) {
    const auto before = std::prev(it);
    const Node& old = at(before->second);
    const auto size = static_cast<int32_t>(before->first.size());
    if (size == page_tokens_ || old.live > 0 || !old.ready ||
        shared_tokens(before->first, *at(node).tokens) != size)
      break;
    keep(node, old.keep_until);
    erase(before->second);
    it = siblings.find(std::span<const TokenId>(*at(node).tokens));
  }
}

void PrefixCache::remove_own(NodeId node) {
  SWARM_CHECK(at(node).live == 1, node, at(node).live);
  erase(node);
}

bool PrefixCache::drop(NodeId node, TimePoint now) {
  const Node& n = at(node);
  if (!n.children.empty() || !evictable(n, now, Pressure::polite)) return false;
  erase(node);
  return true;
}

void PrefixCache::keep(NodeId node, TimePoint until) {
  at(node).keep_until = std::max(at(node).keep_until, until);
}

void PrefixCache::forget(std::span<const TokenId> tokens, int32_t from) {
  const auto page = static_cast<size_t>(page_tokens_);
  std::vector<NodeId> path;
  const auto last = [&] { return path.empty() ? kRoot : path.back(); };
  while (tokens.size() >= page) {
    const auto child = at(last()).children.find(tokens.first(page));
    if (child == at(last()).children.end()) break;
    path.push_back(child->second);
    tokens = tokens.subspan(page);
  }
  // Its tail is a part of a page; one that holds other tokens as well is somebody else's.
  const Neighbour tail = nearest(at(last()), tokens.first(std::min(tokens.size(), page)), true);
  if (tail.node != kNoNode && tail.shared == std::ssize(*at(tail.node).tokens))
    path.push_back(tail.node);
  while (!path.empty() && std::ssize(path) - 1 >= (from + page_tokens_ - 1) / page_tokens_) {
    const Node& n = at(path.back());
    if (!n.children.empty() || !evictable(n, TimePoint::max(), Pressure::last_resort)) return;
    erase(path.back());
    path.pop_back();
  }
}

void PrefixCache::pin(NodeId node, uint64_t owner) {
  Node& n = at(node);
  SWARM_CHECK(node != kRoot && std::ssize(*n.tokens) == page_tokens_, node);
  if (std::ranges::find(n.pins, owner) != n.pins.end()) return;
  if (n.pins.empty()) ++pinned_;
  n.pins.push_back(owner);
}

void PrefixCache::unpin(uint64_t owner) {
  for_each([&](NodeId node) {
    if (std::erase(at(node).pins, owner) > 0 && !is_pinned(node)) --pinned_;
  });
}

bool PrefixCache::evictable(const Node& node, TimePoint now, Pressure pressure) const {
  return node.live == 0 && node.ready && node.pins.empty() &&
         (pressure == Pressure::last_resort || node.keep_until <= now);
}

bool PrefixCache::evict_one(TimePoint now, Pressure pressure) {
  for (const auto& [tick, node] : lru_) {
    if (!evictable(at(node), now, pressure)) continue;
    erase(node);
    ++evicted_;
    return true;
  }
  return false;
}

void PrefixCache::clear() {
  while (!lru_.empty()) erase(lru_.begin()->second);
}

// Use, pins and keep times only grow towards the root, so every node counted here can really go
// once those below it have gone.
int32_t PrefixCache::evictable_count(TimePoint now, Pressure pressure) const {
  int32_t count = 0;
  for (size_t i = 1; i < nodes_.size(); ++i)
    if (nodes_[i].used && evictable(nodes_[i], now, pressure)) ++count;
  return count;
}

void PrefixCache::count_references(std::span<int32_t> counts) const {
  for_each([&](NodeId node) { ++counts[static_cast<size_t>(at(node).page)]; });
}

void PrefixCache::for_each(const std::function<void(NodeId)>& visit) const {
  for (size_t i = 1; i < nodes_.size(); ++i)
    if (nodes_[i].used) visit(static_cast<NodeId>(i));
}

void PrefixCache::check_integrity() const {
  int32_t unused = 0, pinned = 0;
  size_t used = 0, edges = at(kRoot).children.size(), idle_leaves = 0;
  for_each([&](NodeId node) {
    const Node& n = at(node);
    const Node& parent = at(n.parent);
    const auto edge = parent.children.find(std::span<const TokenId>(*n.tokens));
    SWARM_CHECK(edge != parent.children.end() && edge->second == node, node);
    SWARM_CHECK(n.tokens == &edge->first, node);
    SWARM_CHECK(pool_.refs(n.page) >= 1, node, n.page);
    SWARM_CHECK(n.children.empty() ||
                n.tokens->size() == static_cast<size_t>(page_tokens_), node);
    if (n.parent != kRoot) {
      SWARM_CHECK(parent.live >= n.live || n.tokens->size() < static_cast<size_t>(page_tokens_),
                  node, parent.live, n.live);
      SWARM_CHECK(parent.ready || !n.ready, node);
      for (const uint64_t owner : n.pins)
        SWARM_CHECK(std::ranges::count(parent.pins, owner) == 1, node, owner);
      SWARM_CHECK(parent.keep_until >= n.keep_until, node);
    }
    SWARM_CHECK(n.ready || n.live == 1, node, n.live);
    const bool idle_leaf = n.live == 0 && n.children.empty();
    SWARM_CHECK(lru_.count(std::pair(n.last_used, node)) == idle_leaf, node);
    idle_leaves += idle_leaf;
    unused += n.live == 0;
    pinned += n.pins.empty() ? 0 : 1;
    edges += n.children.size();
    ++used;
  });
  SWARM_CHECK(edges == used, edges, used);
  SWARM_CHECK(used + free_nodes_.size() + 1 == nodes_.size(), used, free_nodes_.size());
  SWARM_CHECK(lru_.size() == idle_leaves, lru_.size(), idle_leaves);
  SWARM_CHECK(unused == unused_ && pinned == pinned_, unused, unused_, pinned, pinned_);
}

}  // namespace swarm::engine::kv
