#include "engine/grammar/token_trie.h"

#include <algorithm>
#include <limits>

#include "engine/base/check.h"

namespace swarm::engine::grammar {
namespace {

size_t common_prefix(std::string_view a, std::string_view b) {
  const size_t limit = std::min(a.size(), b.size());
  size_t count = 0;
  while (count < limit && a[count] == b[count]) ++count;
  return count;
}

}  // namespace

TokenTrie::TokenTrie(Vocabulary v) : vocabulary(std::move(v)) {
  const size_t count = token_count();
  SWARM_CHECK(vocabulary.special.size() == count, vocabulary.special.size(), count);
  is_stop.assign(count, false);
  for (const TokenId id : vocabulary.stop) {
    SWARM_CHECK(id >= 0 && static_cast<size_t>(id) < count, id, count);
    is_stop[static_cast<size_t>(id)] = true;
  }
  std::vector<TokenId> order;
  for (size_t id = 0; id < count; ++id) {
    const std::string& text = vocabulary.bytes[id];
    if (text.empty() || vocabulary.special[id] || is_stop[id]) continue;
    SWARM_CHECK(text.size() < std::numeric_limits<uint16_t>::max(), id, text.size());
    order.push_back(static_cast<TokenId>(id));
    token_bytes_max = std::max(token_bytes_max, text.size());
    if (text.size() == 1) spelled.set(static_cast<uint8_t>(text[0]));
  }
  const auto text_of = [&](TokenId id) -> const std::string& {
    return vocabulary.bytes[static_cast<size_t>(id)];
  };
  // Sorted texts visit the trie in preorder. std::string compares as unsigned bytes.
  std::stable_sort(order.begin(), order.end(),
                   [&](TokenId a, TokenId b) { return text_of(a) < text_of(b); });
  std::vector<int32_t> open;  // the path from the root to the last node
  const auto push = [&](uint8_t value) {
    parent.push_back(open.empty() ? -1 : open.back());
    const auto depth = static_cast<uint16_t>(open.size());
    open.push_back(static_cast<int32_t>(nodes.size()));
    nodes.push_back({.end = 0,
                     .first = static_cast<int32_t>(ordered.size()),
                     .token_count = 0,
                     .depth = depth,
                     .byte = value,
                     .plain = is_plain_byte(value)});
  };
  const auto close_to = [&](size_t length) {
    for (; open.size() > length; open.pop_back()) {
      Node& node = nodes[static_cast<size_t>(open.back())];
      node.end = static_cast<int32_t>(nodes.size());
      if (open.size() > 1) nodes[static_cast<size_t>(open[open.size() - 2])].plain &= node.plain;
    }
  };
  push(0);
  std::string_view previous;
  for (const TokenId id : order) {
    const std::string& text = text_of(id);
    const size_t shared = common_prefix(previous, text);
    close_to(shared + 1);
    for (size_t i = shared; i < text.size(); ++i) push(static_cast<uint8_t>(text[i]));
    ++nodes[static_cast<size_t>(open.back())].token_count;
    ordered.push_back(id);
    previous = text;
  }
  close_to(0);
  const auto all = static_cast<int32_t>(ordered.size());
  nodes.push_back(
      {.end = 0, .first = all, .token_count = 0, .depth = 0, .byte = 0, .plain = false});
}

int32_t TokenTrie::child(int32_t node, uint8_t value) const {
  const int32_t stop = at(node).end;
  for (int32_t next = node + 1; next < stop; next = at(next).end) {
    if (at(next).byte == value) return next;
  }
  return -1;
}

std::string TokenTrie::path(int32_t from, int32_t node) const {
  std::string text;
  for (; node != from; node = parent[static_cast<size_t>(node)]) {
    text += static_cast<char>(at(node).byte);
  }
  std::reverse(text.begin(), text.end());
  return text;
}

std::vector<TokenId> TokenTrie::encode_greedily(std::string_view text) const {
  std::vector<TokenId> tokens;
  for (size_t begin = 0; begin < text.size();) {
    int32_t node = 0;
    TokenId best = -1;
    size_t best_end = begin;
    for (size_t i = begin; i < text.size(); ++i) {
      node = child(node, static_cast<uint8_t>(text[i]));
      if (node < 0) break;
      if (at(node).token_count > 0) {
        best = ordered[static_cast<size_t>(at(node).first)];
        best_end = i + 1;
      }
    }
    SWARM_CHECK(best >= 0, begin, text.size());
    tokens.push_back(best);
    begin = best_end;
  }
  return tokens;
}

}  // namespace swarm::engine::grammar
