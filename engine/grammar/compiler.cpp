#include <list>
#include <mutex>
#include <unordered_map>

#include "engine/grammar/grammar.h"
#include "engine/grammar/grammar_impl.h"
#include "engine/grammar/turn.h"

namespace swarm::engine::grammar {
namespace {
constexpr size_t kGrammarsMax = 64;
}

struct GrammarCompiler::Impl {
  Impl(Vocabulary vocabulary, const TextEncoder& e)
      : trie(std::make_shared<const TokenTrie>(std::move(vocabulary))), encoder(e) {}

  struct Entry {
    std::string key;
    std::shared_ptr<const Grammar> grammar;
  };

  std::shared_ptr<const TokenTrie> trie;
  const TextEncoder& encoder;
  mutable std::mutex mutex;
  std::list<Entry> recent;  // most recently used first
  std::unordered_map<std::string, std::list<Entry>::iterator> by_key;
  Stats stats;
};

GrammarCompiler::GrammarCompiler(Vocabulary vocabulary, const TextEncoder& encoder)
    : impl_(std::make_unique<Impl>(std::move(vocabulary), encoder)) {}

GrammarCompiler::~GrammarCompiler() = default;

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
  auto grammar = std::make_shared<const Grammar>(std::move(rtn), impl_->trie, impl_->encoder);
  impl_->recent.push_front({key, grammar});
  impl_->by_key[std::move(key)] = impl_->recent.begin();
  if (impl_->recent.size() > kGrammarsMax) {
    impl_->by_key.erase(impl_->recent.back().key);
    impl_->recent.pop_back();
  }
  return grammar;
}

GrammarCompiler::Stats GrammarCompiler::stats() const {
  const std::scoped_lock lock(impl_->mutex);
  return impl_->stats;
}

}  // namespace swarm::engine::grammar
