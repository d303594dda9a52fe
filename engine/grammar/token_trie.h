// engine/grammar/token_trie.h — The normal tokens of a vocabulary as a trie over bytes, laid out in
// preorder so that a walk is one pass over arrays. Built once per vocabulary, immutable, shared by
// all grammars of one compiler. Tokens without bytes, special tokens and stop tokens are left out.
#pragma once

#include <bitset>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/grammar/grammar.h"

namespace swarm::engine::grammar {

struct TokenTrie {
  explicit TokenTrie(Vocabulary vocabulary);

  // Node 0 is the root (no byte). The subtree of node n is [n, end[n]).
  std::vector<uint8_t> byte;
  std::vector<uint16_t> depth;
  std::vector<int32_t> end;
  std::vector<int32_t> parent;
  std::vector<TokenId> token;        // the token that ends here, or -1
  std::vector<TokenId> same_bytes;   // per token id: another token of the same bytes, or -1

  Vocabulary vocabulary;
  std::vector<bool> is_stop;         // per token id
  std::bitset<256> spelled;          // bytes that are a token of their own
  size_t token_bytes_max = 0;

  size_t token_count() const { return vocabulary.bytes.size(); }
  size_t mask_words() const { return (token_count() + 31) / 32; }
  bool has_children(int32_t node) const { return end[static_cast<size_t>(node)] > node + 1; }
  // The child of node for this byte, or -1.
  int32_t child(int32_t node, uint8_t value) const;
  // The bytes from node `from` (exclusive) down to its descendant `node`.
  std::string path(int32_t from, int32_t node) const;
  // Longest tokens first, left to right; text must consist of spelled bytes.
  std::vector<TokenId> encode_greedily(std::string_view text) const;
};

}  // namespace swarm::engine::grammar
