// engine/grammar/token_masks.h — Which tokens a thread may read. What a state allows whatever stack
// it stands on is computed once by walking the token trie with a lazily built automaton, and
// cached; tokens that leave the rule are continued below in the caller for each stack.
// Fills caches while answering, within a budget shared with other grammars; callers hold the
// budget's mutex. What was forgotten is made again at need. The network and the trie outlive it.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <unordered_map>

#include "engine/grammar/cache_budget.h"
#include "engine/grammar/threads.h"
#include "engine/grammar/token_trie.h"

namespace swarm::engine::grammar {

// A lazily determinised automaton over relative thread sets. Configuration ids below
// rtn.state_count() are single states on the base; the others are interned sets.
class LocalAutomaton {
 public:
  explicit LocalAutomaton(const Rtn& rtn);

  static constexpr int32_t kDead = -1;

  int32_t step(int32_t config, uint8_t byte) {
    const size_t cls = rtn_.class_of[byte];
    return simple(config) ? rtn_.next(config, cls) : step_composed(config, cls, byte);
  }
  // No exit, no key, no nesting needed: only whether a token ends here matters.
  bool uneventful(int32_t config) const { return (traits(config) & kUneventful) != 0; }
  // Uneventful, and every plain byte leads back to it.
  bool loops_on_plain(int32_t config) const { return (traits(config) & kLoopsOnPlain) != 0; }
  bool exits(int32_t config);      // the base rule may end here
  bool key_done(int32_t config);   // some key was completed with the last byte
  bool only_keys(int32_t config);  // nothing but completed keys got here
  int32_t peak(int32_t config);    // nesting needed from the base
  size_t bytes() const;            // an upper bound of the memory that forget() gives back
  void forget();                   // invalidates interned ids

 private:
  static constexpr int32_t kUnknown = -2;
  static constexpr uint8_t kSimple = 1;  // a state without calls: its table row is all there is
  static constexpr uint8_t kUneventful = 2;
  static constexpr uint8_t kLoopsOnPlain = 4;

  struct Config {
    Threads threads;
    Closure closure;
    bool key_done = false;
    uint8_t traits = 0;
    std::vector<int32_t> next;  // per class; kUnknown until asked
  };

  // Of a base state with calls: 0 until it is first stepped, which is only slower.
  uint8_t traits(int32_t config) const {
    const auto id = static_cast<size_t>(config);
    return id < traits_.size() ? traits_[id] : configs_[id - traits_.size()].traits;
  }
  bool simple(int32_t config) const { return (traits(config) & kSimple) != 0; }
  int32_t step_composed(int32_t config, size_t cls, uint8_t byte);
  Config& at(int32_t config);
  void add_config(Threads threads, bool key_done);
  int32_t intern(Threads threads, bool key_done);

  const Rtn& rtn_;
  std::vector<uint8_t> traits_;  // per state
  std::vector<int32_t> bases_;   // per state: its place in configs_
  std::vector<Config> configs_;
  std::unordered_multimap<uint64_t, int32_t> ids_;
  size_t bytes_ = 0;               // without the array of configs_ itself
};

class TokenMasks final : public CacheOwner {
 public:
  // The budget is shared by the compiler and all its grammars.
  TokenMasks(const Rtn& rtn, std::shared_ptr<const TokenTrie> trie,
             std::shared_ptr<CacheBudget> budget);
  ~TokenMasks() override;            // takes the budget's mutex
  TokenMasks(const TokenMasks&) = delete;
  TokenMasks& operator=(const TokenMasks&) = delete;

  void forget(int32_t what) override;

  // Adds the bits of the normal tokens the threads may read.
  void add_allowed(const Threads& threads, std::span<uint32_t> bits);
  // True if a token strictly longer than the bytes at `node` and beginning with them may be read.
  bool longer_allowed(const Threads& threads, int32_t node);

 private:
  // What one state allows on any stack.
  struct Local {
    std::vector<uint32_t> bits;  // all words, or empty when listed
    std::vector<TokenId> listed;
    std::vector<int32_t> exits;     // nodes at which the rule may end and the walk go on below
    std::vector<int32_t> rechecks;  // nodes at which only the real stack can tell
    bool start_exit = false;
    int32_t peak = 0;
  };
  struct Walk;

  struct Known {
    std::shared_ptr<const Local> local;
    CacheBudget::Slot slot;
  };

  std::shared_ptr<const Local> local_of(StateId state);
  std::shared_ptr<const Local> make_local(StateId state);
  bool settle_automaton();
  void walk(StateId state, int32_t node, Walk& walk);
  void add_thread(const Thread& thread, int32_t node, std::span<uint32_t> bits);
  void add_exits(const Thread& thread, int32_t node, const std::vector<int32_t>& exits,
                 std::span<uint32_t> bits);
  void add_key_exits(const Thread& thread, int32_t node, const std::vector<int32_t>& exits,
                     std::span<uint32_t> bits);
  std::vector<int32_t> repeated_keys(const Frame& key, int32_t node,
                                     const std::vector<int32_t>& exits) const;
  void recheck(const Thread& thread, int32_t node, int32_t target, std::span<uint32_t> bits);
  void add_near_limit(const Thread& thread, int32_t node, std::span<uint32_t> bits);
  void set_token(int32_t node, std::span<uint32_t> bits) const;
  void set_tokens(int32_t first, int32_t last, std::span<uint32_t> bits) const;
  // The root is called by nobody: nothing goes on below it.
  bool records_exits(StateId state) const {
    return rtn_.rule_of[static_cast<size_t>(state)] != rtn_.root;
  }

  const Rtn& rtn_;
  std::shared_ptr<const TokenTrie> trie_;
  std::shared_ptr<CacheBudget> budget_;
  LocalAutomaton automaton_;
  std::optional<CacheBudget::Slot> automaton_slot_;
  size_t automaton_charged_ = 0;
  std::unordered_map<StateId, Known> locals_;
};

}  // namespace swarm::engine::grammar
