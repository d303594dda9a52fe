#include <list>
#include <mutex>
#include <unordered_map>

#include "engine/grammar/grammar.h"
#include "engine/grammar/grammar_impl.h"
#include "engine/grammar/turn.h"

namespace swarm::engine::grammar {

struct GrammarCompiler::Impl {
  Impl(Vocabulary vocabulary, const TextEncoder& e, GrammarLimits l)
      : trie(std::make_shared<const TokenTrie>(std::move(vocabulary))),
        encoder(e),
        limits(l),
        budget(std::make_shared<CacheBudget>(l.mask_bytes)) {}

  struct Entry {
    std::string key;
    std::shared_ptr<const Grammar> grammar;
    size_t bytes = 0;
  };

  void remember(Entry entry);

  std::shared_ptr<const TokenTrie> trie;
  const TextEncoder& encoder;
  const GrammarLimits limits;
  const std::shared_ptr<CacheBudget> budget;   // shared with the grammars, which may live longer
  mutable std::mutex mutex;
  std::list<Entry> recent;  // most recently used first
  std::unordered_map<std::string, std::list<Entry>::iterator> by_key;
  Stats stats;
};

GrammarCompiler::GrammarCompiler(Vocabulary vocabulary, const TextEncoder& encoder,
                                 GrammarLimits limits)
    : impl_(std::make_unique<Impl>(std::move(vocabulary), encoder, limits)) {}

GrammarCompiler::~GrammarCompiler() = default;

// One that is larger than the whole bound is given out but not kept.
void GrammarCompiler::Impl::remember(Entry entry) {
  stats.network_bytes += entry.bytes;
  recent.push_front(std::move(entry));
  by_key[recent.front().key] = recent.begin();
  while (!recent.empty() &&
         (stats.network_bytes > limits.network_bytes || recent.size() > limits.grammars)) {
    stats.network_bytes -= recent.back().bytes;
    by_key.erase(recent.back().key);
    recent.pop_back();
  }
}

// Compiles under the lock: agents that arrive together with one specification wait for one result.
Result<std::shared_ptr<const Grammar>> GrammarCompiler::compile(const TurnSpec& spec) {
  std::string key = turn_key(spec);
  const std::scoped_lock lock(impl_->mutex);
  if (const auto found = impl_->by_key.find(key); found != impl_->by_key.end()) {
    ++impl_->stats.cache_hits;
    impl_->recent.splice(impl_->recent.begin(), impl_->recent, found->second);
    return found->second->grammar;
  }
  SWARM_TRY(Rtn rtn, compile_turn(spec, *impl_->trie));
  ++impl_->stats.compiled;
  // Besides the network: what an automaton holds per state from the start, and the key, twice.
  const size_t bytes = rtn.bytes() + rtn.state_count() * (sizeof(uint8_t) + sizeof(int32_t)) +
                       sizeof(Grammar) + 2 * key.size();
  auto grammar = std::make_shared<const Grammar>(std::move(rtn), impl_->trie, impl_->encoder,
                                                 impl_->budget);
  impl_->remember({std::move(key), grammar, bytes});
  return grammar;
}

GrammarCompiler::Stats GrammarCompiler::stats() const {
  const std::scoped_lock lock(impl_->mutex);
  Stats stats = impl_->stats;
  const std::scoped_lock masks(impl_->budget->mutex());
  stats.mask_bytes = impl_->budget->bytes();
  return stats;
}

}  // namespace swarm::engine::grammar
