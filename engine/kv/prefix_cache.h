// engine/kv/prefix_cache.h — Which token prefixes lie in which pages: a radix tree whose edges are
// the tokens of one page. A node below the root stands for "the tokens of the path up to here" and
// holds one page. Full nodes have page_tokens tokens and may have children; partial nodes (the tail
// of a context) have fewer and are leaves. Every node owns one reference of its page.
//
// A node is pending from claim() until publish(): its owner is still computing it, nobody else may
// read it, but a twin with the same prefix can see that waiting pays (PrefixMatch::wait_for).
// live counts the contexts that use a node in place; nodes with live == 0 are evictable, leaves
// first, least recently used first, unless pinned or kept (keep_until). A partial match (part of a
// page) is used by copying the page, never in place.
//
// The key of a prefix is its token ids; model, KV type and RoPE settings are fixed per cache.
// Not thread-safe (engine thread); no clock of its own.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <vector>

#include "engine/base/clock.h"
#include "engine/kv/page_pool.h"

namespace swarm::engine {
using TokenId = int32_t;
}

namespace swarm::engine::kv {

using NodeId = int32_t;
inline constexpr NodeId kRoot = 0;
inline constexpr NodeId kNoNode = -1;

// Names a node for good: node numbers are reused, serials are not.
struct NodeRef {
  NodeId node = kNoNode;
  uint64_t serial = 0;
  uint64_t owner = 0;               // who is computing it
};

struct PrefixMatch {
  std::vector<NodeId> nodes;        // ready full pages from the root down
  NodeId partial = kNoNode;         // a ready node that shares partial_tokens > 0 more tokens
  int32_t partial_tokens = 0;
  std::optional<NodeRef> wait_for;  // the deepest pending page that tokens also need
};

enum class Pressure : uint8_t { polite, last_resort };  // last_resort also takes kept pages

class PrefixCache {
 public:
  // pool outlives the cache.
  PrefixCache(PagePool& pool, int32_t page_tokens);

  PrefixMatch match(std::span<const TokenId> tokens) const;
  bool is_pending(const NodeRef& ref) const;

  void lock(NodeId node);           // live + 1
  void unlock(NodeId node);         // live - 1; becomes the most recently used at 0

  // A page that owner is about to compute, locked once for it. kNoNode when such a node exists.
  NodeId claim(NodeId parent, std::span<const TokenId> tokens, Page page, uint64_t owner);
  void publish(NodeId node);
  void abandon(NodeId node);        // removes a pending leaf that only its owner holds

  // A page that is already computed, locked once for the caller. An equal ready node wins (then its
  // page is the one to use); kNoNode when an equal node is pending or, for a partial page, when
  // another node already covers its tokens.
  NodeId insert(NodeId parent, std::span<const TokenId> tokens, Page page);
  // Removes a leaf that is not locked by anyone but the caller (live == 1).
  void remove_own(NodeId node);
  // Removes an unlocked, unpinned leaf whose keep time is over; false when it must stay.
  bool drop(NodeId node, TimePoint now);

  // The context `tokens` never goes on, nor does another from behind its first `from` tokens: frees
  // its pages from there on that are unlocked, unpinned and lead to no other, kept or not.
  void forget(std::span<const TokenId> tokens, int32_t from);

  void keep(NodeId node, TimePoint until);       // never shortens
  void pin(NodeId node, uint64_t owner);         // a full page; the path to it as well
  void unpin(uint64_t owner);                    // all that it pinned; O(nodes)
  bool is_pinned(NodeId node) const { return !at(node).pins.empty(); }
  void touch(NodeId node);

  // Frees the page of one evictable leaf; false when there is none.
  bool evict_one(TimePoint now, Pressure pressure);
  void clear();                     // removes every node that no context uses, pinned or not

  Page page(NodeId node) const { return at(node).page; }
  int32_t live(NodeId node) const { return at(node).live; }
  std::span<const TokenId> tokens(NodeId node) const { return *at(node).tokens; }
  int32_t page_tokens() const { return page_tokens_; }
  int32_t evictable_count(TimePoint now, Pressure pressure) const;   // O(nodes)
  int32_t unused_count() const { return unused_; }                   // live == 0
  int32_t pinned_count() const { return pinned_; }
  uint64_t evicted_count() const { return evicted_; }
  // Adds the pages of all nodes to counts[page] (integrity checks).
  void count_references(std::span<int32_t> counts) const;
  void for_each(const std::function<void(NodeId)>& visit) const;
  void check_integrity() const;     // O(nodes)

 private:
  struct TokensLess {
    using is_transparent = void;
    bool operator()(std::span<const TokenId> a, std::span<const TokenId> b) const;
  };
  using Children = std::map<std::vector<TokenId>, NodeId, TokensLess>;
  struct Node {
    NodeId parent = kNoNode;
    Page page = -1;
    const std::vector<TokenId>* tokens = nullptr;   // the key in the parent's children
    Children children;
    int32_t live = 0;
    bool used = false;               // false: a free slot
    bool ready = false;
    std::vector<uint64_t> pins;      // owners; those of a child pin its parent, too
    uint64_t owner = 0;
    uint64_t serial = 0;
    uint64_t last_used = 0;
    TimePoint keep_until = TimePoint::min();
  };
  struct Neighbour {
    NodeId node = kNoNode;
    int32_t shared = 0;              // tokens in common
  };

  const Node& at(NodeId node) const;
  Node& at(NodeId node);
  NodeId create(NodeId parent, std::span<const TokenId> tokens, Page page);
  void erase(NodeId node);
  void absorb_prefixes(NodeId node);
  Neighbour nearest(const Node& parent, std::span<const TokenId> tokens, bool ready) const;
  bool evictable(const Node& node, TimePoint now, Pressure pressure) const;
  void unlist(NodeId node);
  void list_if_idle(NodeId node);

  PagePool& pool_;
  int32_t page_tokens_;
  std::vector<Node> nodes_;
  std::vector<NodeId> free_nodes_;
  std::set<std::pair<uint64_t, NodeId>> lru_;   // (last use, node): unlocked leaves, oldest first
  uint64_t tick_ = 0;
  uint64_t serial_ = 0;
  uint64_t evicted_ = 0;
  int32_t unused_ = 0;
  int32_t pinned_ = 0;
};

}  // namespace swarm::engine::kv
