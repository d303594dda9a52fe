#include "engine/grammar/token_masks.h"

#include <algorithm>
#include <array>
#include <bit>

#include "engine/base/check.h"
#include "engine/base/rng.h"

namespace swarm::engine::grammar {
namespace {

// What one automaton may grow to before it starts again, even in the middle of a walk.
constexpr size_t kAutomatonBytesMax = size_t{8} << 20;
constexpr size_t kLocalThreadsMax = 512;
constexpr int32_t kAutomaton = -1;   // its slot; the masks of a state have the state as theirs
constexpr size_t kNodeBytes = 64;    // of a hash map's node with its place in the table
constexpr StepMode kRelative{.depth_max = INT32_MAX / 2, .relative = true};

uint64_t hash_threads(const Threads& threads, bool key_done) {
  uint64_t hash = key_done ? 1 : 2;
  for (const Thread& thread : threads) {
    hash = mix_seed(hash, static_cast<uint64_t>(thread.state));
    hash = mix_seed(hash, thread.stack ? thread.stack->hash : 0);
  }
  return hash;
}

// Counts a frame for every thread: no more can have been made for them. Keys of relative threads
// are shorter than a token.
size_t memory_of(const Threads& threads) {
  constexpr size_t kControlBytes = 32;
  size_t bytes = threads.capacity() * sizeof(Thread);
  for (const Thread& thread : threads) {
    if (thread.stack) bytes += sizeof(Frame) + kControlBytes + thread.stack->partial.size();
  }
  return bytes;
}

bool same_threads(const Threads& a, const Threads& b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end(), [](const Thread& x, const Thread& y) {
    return x.state == y.state && same_stack(x.stack, y.stack);
  });
}

}  // namespace

LocalAutomaton::LocalAutomaton(const Rtn& rtn)
    : rtn_(rtn), traits_(rtn.state_count()), bases_(rtn.state_count(), kUnknown) {
  std::array<bool, 256> plain{};
  for (size_t byte = 0; byte < 256; ++byte) {
    if (is_plain_byte(static_cast<uint8_t>(byte))) plain[rtn.class_of[byte]] = true;
  }
  for (size_t s = 0; s < traits_.size(); ++s) {
    const auto state = static_cast<StateId>(s);
    if (!rtn.calls_of(state).empty()) continue;
    traits_[s] = kSimple;
    if (rtn.is_accepting(state) || rtn.need_of(state) != 0) continue;
    traits_[s] |= kUneventful;
    bool loops = true;
    for (size_t cls = 0; cls < rtn.class_count && loops; ++cls) {
      loops = !plain[cls] || rtn.next(state, cls) == state;
    }
    if (loops) traits_[s] |= kLoopsOnPlain;
  }
}

// Only for configurations that are not simple; a base state with calls is interned like a set.
LocalAutomaton::Config& LocalAutomaton::at(int32_t config) {
  if (static_cast<size_t>(config) >= bases_.size()) {
    return configs_[static_cast<size_t>(config) - bases_.size()];
  }
  int32_t& known = bases_[static_cast<size_t>(config)];
  if (known == kUnknown) {
    known = static_cast<int32_t>(configs_.size());
    add_config({{config, nullptr}}, false);
    traits_[static_cast<size_t>(config)] = configs_.back().traits;
  }
  return configs_[static_cast<size_t>(known)];
}

void LocalAutomaton::add_config(Threads threads, bool key_done) {
  Config config;
  config.closure = close_over(rtn_, threads, kRelative);
  config.key_done = key_done;
  config.next.assign(rtn_.class_count, kUnknown);
  const bool eventful = config.closure.exit || key_done || config.closure.peak != 0;
  if (!eventful) config.traits = kUneventful;
  const bool loops = std::all_of(threads.begin(), threads.end(), [&](const Thread& thread) {
    return (traits_[static_cast<size_t>(thread.state)] & kLoopsOnPlain) != 0;
  });
  if (!eventful && loops) config.traits |= kLoopsOnPlain;
  config.threads = std::move(threads);
  bytes_ += memory_of(config.threads) + memory_of(config.closure.threads) +
            config.next.capacity() * sizeof(int32_t) + kNodeBytes;
  configs_.push_back(std::move(config));
}

int32_t LocalAutomaton::intern(Threads threads, bool key_done) {
  if (threads.empty() && !key_done) return kDead;
  if (threads.size() == 1 && threads[0].stack == nullptr && !key_done) return threads[0].state;
  const uint64_t hash = hash_threads(threads, key_done);
  const auto [first, last] = ids_.equal_range(hash);
  for (auto it = first; it != last; ++it) {
    const Config& known = configs_[static_cast<size_t>(it->second) - bases_.size()];
    if (known.key_done == key_done && same_threads(known.threads, threads)) return it->second;
  }
  const auto id = static_cast<int32_t>(bases_.size() + configs_.size());
  add_config(std::move(threads), key_done);
  ids_.emplace(hash, id);
  return id;
}

int32_t LocalAutomaton::step_composed(int32_t config, size_t cls, uint8_t byte) {
  const Config& from = at(config);
  if (from.next[cls] != kUnknown) return from.next[cls];
  Step result = grammar::step(rtn_, from.closure, byte, kRelative);
  // Giving some up forbids a few tokens of a wildly ambiguous schema and allows none falsely.
  if (result.threads.size() > kLocalThreadsMax) result.threads.resize(kLocalThreadsMax);
  const int32_t next = intern(std::move(result.threads), result.key_done);
  at(config).next[cls] = next;  // intern may have moved the configurations
  return next;
}

bool LocalAutomaton::exits(int32_t config) {
  return simple(config) ? rtn_.is_accepting(config) : at(config).closure.exit;
}

bool LocalAutomaton::key_done(int32_t config) { return !simple(config) && at(config).key_done; }

bool LocalAutomaton::only_keys(int32_t config) {
  return !simple(config) && at(config).threads.empty();
}

int32_t LocalAutomaton::peak(int32_t config) {
  return simple(config) ? rtn_.need_of(config) : at(config).closure.peak;
}

size_t LocalAutomaton::bytes() const { return bytes_ + configs_.capacity() * sizeof(Config); }

void LocalAutomaton::forget() {
  for (size_t s = 0; s < bases_.size(); ++s) {
    if (bases_[s] != kUnknown) traits_[s] = 0;
    bases_[s] = kUnknown;
  }
  configs_ = {};   // clear() would keep the memory
  ids_ = {};
  bytes_ = 0;
}

// One walk over the trie below a node.
struct TokenMasks::Walk {
  std::span<uint32_t> bits;
  int32_t peak_max = INT32_MAX;  // configurations that need more are left to recheck
  std::vector<int32_t> exits = {};
  std::vector<int32_t> rechecks = {};
  bool start_exit = false;
  int32_t peak = 0;  // the most any configuration needed
};

TokenMasks::TokenMasks(const Rtn& rtn, std::shared_ptr<const TokenTrie> trie,
                       std::shared_ptr<CacheBudget> budget)
    : rtn_(rtn), trie_(std::move(trie)), budget_(std::move(budget)), automaton_(rtn) {}

TokenMasks::~TokenMasks() {
  const std::scoped_lock lock(budget_->mutex());
  for (const auto& [state, known] : locals_) budget_->remove(known.slot);
  if (automaton_slot_) budget_->remove(*automaton_slot_);
}

void TokenMasks::forget(int32_t what) {
  if (what != kAutomaton) {
    locals_.erase(what);
    return;
  }
  automaton_.forget();
  automaton_slot_.reset();
  automaton_charged_ = 0;
}

// Charges the budget with what the automaton has become. True if it had to be forgotten, which
// makes the ids of its configurations void.
bool TokenMasks::settle_automaton() {
  const size_t bytes = automaton_.bytes();
  if (bytes == automaton_charged_) return false;
  automaton_charged_ = bytes;
  if (automaton_slot_) {
    budget_->resize(*automaton_slot_, bytes);
  } else {
    automaton_slot_ = budget_->add(*this, kAutomaton, bytes);
  }
  if (bytes <= kAutomatonBytesMax && !budget_->full()) return false;
  budget_->remove(*automaton_slot_);
  forget(kAutomaton);
  return true;
}

void TokenMasks::set_tokens(int32_t first, int32_t last, std::span<uint32_t> bits) const {
  for (int32_t i = first; i < last; ++i) {
    const auto id = static_cast<uint32_t>(trie_->ordered[static_cast<size_t>(i)]);
    bits[id / 32] |= 1u << (id % 32);
  }
}

void TokenMasks::set_token(int32_t node, std::span<uint32_t> bits) const {
  const TokenTrie::Node& here = trie_->at(node);
  set_tokens(here.first, here.first + here.token_count, bits);
}

// A token ending where a key ends is not set: whether the key is new only the stack knows.
void TokenMasks::walk(StateId state, int32_t node, Walk& walk) {
  const bool records = records_exits(state);
  const bool key = rtn_.rule(rtn_.rule_of[static_cast<size_t>(state)]).kind == RuleKind::key;
  walk.start_exit = automaton_.exits(state);
  walk.peak = std::max(walk.peak, automaton_.peak(state));
  const uint16_t base = trie_->at(node).depth;
  std::vector<int32_t> path(trie_->token_bytes_max + 2);  // configuration per depth below node
  path[0] = state;
  const int32_t stop = trie_->at(node).end;
  for (int32_t at = node + 1; at < stop;) {
    const TokenTrie::Node& here = trie_->at(at);
    const auto level = static_cast<size_t>(here.depth - base);
    if (settle_automaton()) {
      const std::string read = trie_->path(node, trie_->parent[static_cast<size_t>(at)]);
      for (size_t i = 0; i < read.size(); ++i) {
        path[i + 1] = automaton_.step(path[i], static_cast<uint8_t>(read[i]));
      }
    }
    const int32_t config = automaton_.step(path[level - 1], here.byte);
    if (config == LocalAutomaton::kDead) {
      at = here.end;
      continue;
    }
    path[level] = config;
    if (here.plain && automaton_.loops_on_plain(config)) {
      set_tokens(here.first, trie_->at(here.end).first, walk.bits);
      at = here.end;
      continue;
    }
    if (automaton_.uneventful(config)) {
      if (here.token_count > 0) set_tokens(here.first, here.first + here.token_count, walk.bits);
      ++at;
      continue;
    }
    const int32_t peak = automaton_.peak(config);
    const bool too_deep = peak > walk.peak_max;
    if (automaton_.key_done(config) || too_deep) walk.rechecks.push_back(at);
    if (too_deep) {
      at = here.end;
      continue;
    }
    walk.peak = std::max(walk.peak, peak);
    const bool exit = automaton_.exits(config);
    if (exit && records && (key || trie_->has_children(at))) walk.exits.push_back(at);
    // A configuration of nothing but completed keys allows nothing by itself.
    const bool alive = !(exit && key) && !automaton_.only_keys(config);
    if (alive) set_token(at, walk.bits);
    ++at;
  }
  settle_automaton();
}

std::shared_ptr<const TokenMasks::Local> TokenMasks::local_of(StateId state) {
  if (const auto found = locals_.find(state); found != locals_.end()) {
    budget_->use(found->second.slot);
    return found->second.local;
  }
  auto local = make_local(state);
  const size_t elements = local->bits.capacity() + local->listed.capacity() +
                          local->exits.capacity() + local->rechecks.capacity();
  const size_t bytes = elements * sizeof(int32_t) + sizeof(Local) + sizeof(Known) + kNodeBytes;
  const CacheBudget::Slot slot = budget_->add(*this, state, bytes);
  if (budget_->full()) {
    budget_->remove(slot);
  } else {
    locals_[state] = {local, slot};
  }
  return local;
}

std::shared_ptr<const TokenMasks::Local> TokenMasks::make_local(StateId state) {
  auto local = std::make_shared<Local>();
  local->bits.resize(trie_->mask_words());
  Walk result{.bits = local->bits};
  walk(state, 0, result);
  local->exits = std::move(result.exits);
  local->rechecks = std::move(result.rechecks);
  local->exits.shrink_to_fit();
  local->rechecks.shrink_to_fit();
  local->start_exit = result.start_exit;
  local->peak = result.peak;
  size_t count = 0;
  for (const uint32_t word : local->bits) count += static_cast<size_t>(std::popcount(word));
  if (count >= local->bits.size() / 4) return local;
  local->listed.reserve(count);
  for (size_t i = 0; i < local->bits.size(); ++i) {
    for (uint32_t word = local->bits[i]; word != 0; word &= word - 1) {
      local->listed.push_back(static_cast<TokenId>(i * 32) + std::countr_zero(word));
    }
  }
  local->bits = {};
  return local;
}

void TokenMasks::add_allowed(const Threads& threads, std::span<uint32_t> bits) {
  SWARM_CHECK(bits.size() >= trie_->mask_words(), bits.size(), trie_->mask_words());
  for (const Thread& thread : threads) add_thread(thread, 0, bits);
}

bool TokenMasks::longer_allowed(const Threads& threads, int32_t node) {
  const Threads at = read(rtn_, threads, trie_->path(0, node));
  std::vector<uint32_t> bits(trie_->mask_words());
  for (const Thread& thread : at) add_thread(thread, node, bits);
  return std::any_of(bits.begin(), bits.end(), [](uint32_t word) { return word != 0; });
}

// Tokens below node that the thread may read, having read the bytes of node already.
void TokenMasks::add_thread(const Thread& thread, int32_t node, std::span<uint32_t> bits) {
  const int32_t room = kDepthMax - depth_of(thread.stack);
  std::shared_ptr<const Local> local = node == 0 ? local_of(thread.state) : nullptr;
  if (local && local->peak <= room) {
    for (size_t i = 0; i < local->bits.size(); ++i) bits[i] |= local->bits[i];
    for (const TokenId id : local->listed) {
      bits[static_cast<size_t>(id) / 32] |= 1u << (static_cast<uint32_t>(id) % 32);
    }
    for (const int32_t target : local->rechecks) recheck(thread, node, target, bits);
    if (!thread.stack) return;
    if (local->start_exit) add_thread(pop(thread), node, bits);
    add_exits(thread, node, local->exits, bits);
    return;
  }
  if (automaton_.peak(thread.state) > room) {
    add_near_limit(thread, node, bits);
    return;
  }
  Walk result{.bits = bits, .peak_max = room};
  walk(thread.state, node, result);
  for (const int32_t target : result.rechecks) recheck(thread, node, target, bits);
  if (!thread.stack) return;
  if (result.start_exit) add_thread(pop(thread), node, bits);
  add_exits(thread, node, result.exits, bits);
}

void TokenMasks::add_exits(const Thread& thread, int32_t node, const std::vector<int32_t>& exits,
                           std::span<uint32_t> bits) {
  if (exits.empty()) return;
  if (thread.stack->kind == RuleKind::key) {
    add_key_exits(thread, node, exits, bits);
    return;
  }
  const Thread below = pop(thread);
  for (const int32_t exit : exits) add_thread(below, exit, bits);
}

// Every exit completes a key; those that repeat a sibling are left out.
void TokenMasks::add_key_exits(const Thread& thread, int32_t node,
                               const std::vector<int32_t>& exits, std::span<uint32_t> bits) {
  const std::vector<int32_t> repeated = repeated_keys(*thread.stack, node, exits);
  for (const int32_t exit : exits) {
    if (std::binary_search(repeated.begin(), repeated.end(), exit)) continue;
    set_token(exit, bits);
    if (trie_->has_children(exit)) add_thread(pop(thread, trie_->path(node, exit)), exit, bits);
  }
}

// Exits that complete a key the object has, sorted. Asks whichever is less: every exit, or every
// key that begins like this one. So an object of very many keys costs no more per token.
std::vector<int32_t> TokenMasks::repeated_keys(const Frame& key, int32_t node,
                                               const std::vector<int32_t>& exits) const {
  const KeySet& used = key.parent->used;
  std::vector<int32_t> repeated;
  if (used.longest() < key.partial.size()) return repeated;
  if (used.count_with_prefix(key.partial) > exits.size()) {
    for (const int32_t exit : exits) {
      KeyText whole = key.partial;
      whole.append(trie_->path(node, exit));
      if (used.contains(whole)) repeated.push_back(exit);
    }
  } else {
    used.visit_with_prefix(key.partial, [&](const std::string& text) {
      int32_t at = node;
      for (size_t i = key.partial.size(); i < text.size() && at >= 0; ++i) {
        at = trie_->child(at, static_cast<uint8_t>(text[i]));
      }
      if (at >= 0) repeated.push_back(at);
    });
  }
  std::sort(repeated.begin(), repeated.end());
  return repeated;
}

// Reads the bytes between node and target with the real stack, then goes on from there.
void TokenMasks::recheck(const Thread& thread, int32_t node, int32_t target,
                         std::span<uint32_t> bits) {
  const Threads threads = read(rtn_, {thread}, trie_->path(node, target));
  if (threads.empty()) return;
  set_token(target, bits);
  for (const Thread& next : threads) add_thread(next, target, bits);
}

// Some call from this state would nest too deeply. Enters the calls that do not, one by one, and
// reads one byte where a state has both bytes and calls.
void TokenMasks::add_near_limit(const Thread& thread, int32_t node, std::span<uint32_t> bits) {
  const Closure closure = close_over(rtn_, {thread}, {});
  for (const Thread& entered : closure.threads) {
    if (rtn_.calls_of(entered.state).empty()) {
      add_thread(entered, node, bits);
      continue;
    }
    const int32_t stop = trie_->at(node).end;
    for (int32_t at = node + 1; at < stop; at = trie_->at(at).end) {
      const Step next = step(rtn_, {.threads = {entered}}, trie_->at(at).byte, {});
      if (next.threads.empty()) continue;
      set_token(at, bits);
      for (const Thread& read : next.threads) add_thread(read, at, bits);
    }
  }
}

}  // namespace swarm::engine::grammar
