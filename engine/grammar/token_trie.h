// engine/grammar/token_trie.h — The normal tokens of a vocabulary as a trie over bytes, in preorder
// so that a walk is one pass over memory. Built once per vocabulary, immutable, shared by all
// grammars of one compiler. Tokens without bytes, special tokens and stop tokens are left out.
#pragma once

#include <bitset>
#include <cstdint>
#include <string>
#include <vector>

#include "engine/grammar/grammar.h"

namespace swarm::engine::grammar {

// Printable ASCII that stands for itself in a JSON string: most bytes of most tokens.
inline bool is_plain_byte(uint8_t byte) {
  return byte >= 0x20 && byte < 0x7F && byte != '"' && byte != '\\';
}

struct TokenTrie {
  explicit TokenTrie(Vocabulary vocabulary);

  // Together in memory: a walk reads all of a node at once.
  struct Node {
    int32_t end;          // the subtree of node n is [n, end)
    int32_t first;        // its tokens are ordered[first of n, first of end)
    int32_t token_count;  // tokens of exactly these bytes, ordered[first...]
    uint16_t depth;
    uint8_t byte;
    bool plain;  // the whole subtree, itself included, reads plain bytes only
  };
  std::vector<Node> nodes;       // node 0 is the root, which has no byte; a last one closes
  std::vector<TokenId> ordered;  // all tokens in preorder
  std::vector<int32_t> parent;

  Vocabulary vocabulary;
  std::vector<bool> is_stop;  // per token id
  std::bitset<256> spelled;   // bytes that are a token of their own
  size_t token_bytes_max = 0;

  size_t token_count() const { return vocabulary.bytes.size(); }
  size_t mask_words() const { return (token_count() + 31) / 32; }
  const Node& at(int32_t node) const { return nodes[static_cast<size_t>(node)]; }
  bool has_children(int32_t node) const { return at(node).end > node + 1; }
  // The child of node for this byte, or -1.
  int32_t child(int32_t node, uint8_t value) const;
  // The bytes from node `from` (exclusive) down to its descendant `node`.
  std::string path(int32_t from, int32_t node) const;
  // Longest tokens first, left to right; text must consist of spelled bytes.
  std::vector<TokenId> encode_greedily(std::string_view text) const;
};

}  // namespace swarm::engine::grammar
