// engine/grammar/grammar_impl.h — What a compiled Grammar holds: the network, the trie of its
// vocabulary and its masks, which are guarded by the mutex of the compiler's budget. Shared by the
// compiler's cache and all matchers.
#pragma once

#include <memory>
#include <mutex>

#include "engine/grammar/grammar.h"
#include "engine/grammar/rtn.h"
#include "engine/grammar/token_masks.h"
#include "engine/grammar/token_trie.h"

namespace swarm::engine::grammar {

class Grammar {
 public:
  Grammar(Rtn network, std::shared_ptr<const TokenTrie> tokens, const TextEncoder& text_encoder,
          std::shared_ptr<CacheBudget> budget)
      : rtn(std::move(network)),
        trie(std::move(tokens)),
        encoder(text_encoder),
        budget_(std::move(budget)),
        masks_(rtn, trie, budget_) {}
  Grammar(const Grammar&) = delete;
  Grammar& operator=(const Grammar&) = delete;

  // Serialised access to the masks, which fill caches while answering.
  template <class Use>
  auto with_masks(Use use) const {
    const std::scoped_lock lock(budget_->mutex());
    return use(masks_);
  }

  // Canonical tokens whose bytes are exactly text, which must consist of spelled bytes.
  std::vector<TokenId> encode(std::string_view text) const;

  const Rtn rtn;
  const std::shared_ptr<const TokenTrie> trie;
  const TextEncoder& encoder;

 private:
  std::shared_ptr<CacheBudget> budget_;
  mutable TokenMasks masks_;
};

// A byte, or a special token if token >= 0.
struct Symbol {
  TokenId token = -1;
  uint8_t byte = 0;
};

// The text every continuation begins with; not all of it where it is very long or very ambiguous.
struct Forced {
  std::vector<Symbol> symbols;
  bool ends = false;  // after it the turn is over or a special token is due
};
Forced find_forced(const Rtn& rtn, const Threads& threads);

// A shortest way to the end of the turn that keeps to the nesting limit.
std::vector<Symbol> find_completion(const Rtn& rtn, const Threads& threads);

}  // namespace swarm::engine::grammar
