// engine/grammar/cache_budget.h — How much memory the grammars of one compiler may remember.
// Two bounds, both in GrammarLimits: network_bytes for the compiled networks that the compiler
// keeps for the next request (a grammar in use lives on without it), and mask_bytes for the token
// masks and automata of all its grammars together. A CacheBudget is the second: owners add what
// they remember as slots; when the sum passes the bound the least recently used slots of whichever
// owner are forgotten. Everything, the forgetting of others included, happens under mutex(), which
// also serialises the masks of all these grammars: it is one engine thread that asks for them.
// The bound holds for what is remembered; what one call is computing comes on top.
#pragma once

#include <cstddef>
#include <cstdint>
#include <list>
#include <mutex>

namespace swarm::engine::grammar {

class CacheOwner {
 public:
  virtual ~CacheOwner() = default;
  virtual void forget(int32_t what) = 0;   // its slot is gone already
};

class CacheBudget {
 public:
  explicit CacheBudget(size_t bytes_max) : bytes_max_(bytes_max) {}

  struct Entry {
    CacheOwner* owner = nullptr;
    int32_t what = 0;
    size_t bytes = 0;
  };
  using Slot = std::list<Entry>::iterator;

  std::mutex& mutex() { return mutex_; }

  // The new slot is the most recently used one and is never forgotten by its own adding.
  Slot add(CacheOwner& owner, int32_t what, size_t bytes);
  void use(Slot slot) { entries_.splice(entries_.begin(), entries_, slot); }
  void resize(Slot slot, size_t bytes);    // counts as a use
  void remove(Slot slot);                  // does not call forget()

  size_t bytes() const { return bytes_; }
  bool full() const { return bytes_ > bytes_max_; }   // one slot alone is too large

 private:
  void make_room();

  std::mutex mutex_;
  size_t bytes_max_;
  size_t bytes_ = 0;
  std::list<Entry> entries_;               // most recently used first
};

}  // namespace swarm::engine::grammar
