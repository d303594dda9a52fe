#include <algorithm>
#include <string>

#include "engine/base/check.h"
#include "engine/grammar/grammar.h"
#include "engine/grammar/grammar_impl.h"

namespace swarm::engine::grammar {

// Immutable; shared by copies of the matcher until one of them moves on.
struct Matcher::State {
  Threads threads;
  Closure closure;
  bool ended = false;
};

namespace {

bool has_token(const TokenTrie& trie, TokenId token) {
  return token >= 0 && static_cast<size_t>(token) < trie.token_count();
}

}  // namespace

std::vector<TokenId> Grammar::encode(std::string_view text) const {
  std::vector<TokenId> tokens = encoder.encode(text);
  std::string spelled;
  for (const TokenId token : tokens) {
    const bool normal = has_token(*trie, token) && !trie->is_stop[static_cast<size_t>(token)] &&
                        !trie->vocabulary.special[static_cast<size_t>(token)];
    if (!normal) return trie->encode_greedily(text);
    spelled += trie->vocabulary.bytes[static_cast<size_t>(token)];
  }
  // An encoder for whole text may not keep a part of a UTF-8 sequence, where a completion may
  // begin.
  return spelled == text ? tokens : trie->encode_greedily(text);
}

Matcher::Matcher(std::shared_ptr<const Grammar> grammar) : grammar_(std::move(grammar)) {
  SWARM_CHECK(grammar_ != nullptr);
  State state;
  state.threads = {{grammar_->rtn.rule(grammar_->rtn.root).start, nullptr}};
  state.closure = close_over(grammar_->rtn, state.threads, {});
  state_ = std::make_shared<const State>(std::move(state));
}

void Matcher::fill_mask(std::span<uint32_t> bits) const {
  SWARM_CHECK(state_ != nullptr);
  std::fill(bits.begin(), bits.end(), 0u);
  if (state_->ended) return;
  const auto set = [&](TokenId id) {
    bits[static_cast<size_t>(id) / 32] |= 1u << (static_cast<uint32_t>(id) % 32);
  };
  grammar_->with_masks([&](TokenMasks& masks) { masks.add_allowed(state_->threads, bits); });
  for (const Thread& thread : state_->closure.threads) {
    for (const SpecialEdge& edge : grammar_->rtn.specials_of(thread.state)) set(edge.token);
  }
  if (may_end()) {
    for (const TokenId id : grammar_->trie->vocabulary.stop) set(id);
  }
}

bool Matcher::accept(TokenId token) {
  SWARM_CHECK(state_ != nullptr);
  const TokenTrie& trie = *grammar_->trie;
  if (state_->ended || !has_token(trie, token)) return false;
  const auto id = static_cast<size_t>(token);
  State next;
  // A special token the grammar names comes first: a stop token may have a place inside as well.
  if (trie.vocabulary.special[id]) {
    next.threads = step_special(grammar_->rtn, state_->closure, token, {});
  } else if (!trie.is_stop[id] && !trie.vocabulary.bytes[id].empty()) {
    next.threads = read(grammar_->rtn, state_->threads, trie.vocabulary.bytes[id]);
    if (next.threads.empty()) return false;
  }
  if (next.threads.empty()) {
    if (!trie.is_stop[id] || !may_end()) return false;
    next.ended = true;
  } else {
    if (next.threads.size() > kThreadsMax) next.threads.resize(kThreadsMax);
    next.closure = close_over(grammar_->rtn, next.threads, {});
  }
  state_ = std::make_shared<const State>(std::move(next));
  return true;
}

bool Matcher::may_end() const {
  SWARM_CHECK(state_ != nullptr);
  return !state_->ended && state_->closure.exit;
}

bool Matcher::ended() const {
  SWARM_CHECK(state_ != nullptr);
  return state_->ended;
}

std::vector<TokenId> Matcher::forced() const {
  SWARM_CHECK(state_ != nullptr);
  std::vector<TokenId> tokens;
  if (state_->ended) return tokens;
  const Rtn& rtn = grammar_->rtn;
  const Forced forced = find_forced(rtn, state_->threads);
  std::string text;
  Threads at = state_->threads;  // where text begins
  for (const Symbol& symbol : forced.symbols) {
    if (symbol.token < 0) {
      text += static_cast<char>(symbol.byte);
      continue;
    }
    const std::vector<TokenId> part =
        text.empty() ? std::vector<TokenId>{} : grammar_->encode(text);
    tokens.insert(tokens.end(), part.begin(), part.end());
    tokens.push_back(symbol.token);
    at = read(rtn, at, text);
    at = step_special(rtn, close_over(rtn, at, {}), symbol.token, {});
    text.clear();
  }
  if (text.empty()) return tokens;
  std::vector<TokenId> part = grammar_->encode(text);
  if (!forced.ends) {
    // The last token stays only if no longer token may stand in its place.
    const std::string& last = grammar_->trie->vocabulary.bytes[static_cast<size_t>(part.back())];
    at = read(rtn, at, std::string_view(text).substr(0, text.size() - last.size()));
    int32_t node = 0;
    for (const char c : last) node = grammar_->trie->child(node, static_cast<uint8_t>(c));
    const bool open =
        grammar_->with_masks([&](TokenMasks& masks) { return masks.longer_allowed(at, node); });
    if (open) part.pop_back();
  }
  tokens.insert(tokens.end(), part.begin(), part.end());
  return tokens;
}

std::optional<std::vector<TokenId>> Matcher::completion() const {
  SWARM_CHECK(state_ != nullptr);
  std::vector<TokenId> tokens;
  if (state_->ended || may_end()) return tokens;
  std::string text;
  const auto flush = [&] {
    if (text.empty()) return;
    const std::vector<TokenId> part = grammar_->encode(text);
    tokens.insert(tokens.end(), part.begin(), part.end());
    text.clear();
  };
  for (const Symbol& symbol : find_completion(grammar_->rtn, state_->threads)) {
    if (symbol.token < 0) {
      text += static_cast<char>(symbol.byte);
      continue;
    }
    flush();
    tokens.push_back(symbol.token);
  }
  flush();
  return tokens;
}

}  // namespace swarm::engine::grammar
