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
  same_bytes.assign(count, -1);
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
    byte.push_back(value);
    depth.push_back(static_cast<uint16_t>(open.size()));
    end.push_back(0);
    parent.push_back(open.empty() ? -1 : open.back());
    token.push_back(-1);
    open.push_back(static_cast<int32_t>(byte.size()) - 1);
  };
  const auto close_to = [&](size_t length) {
    for (; open.size() > length; open.pop_back()) {
      end[static_cast<size_t>(open.back())] = static_cast<int32_t>(byte.size());
    }
  };
  push(0);
  std::string_view previous;
  for (const TokenId id : order) {
    const std::string& text = text_of(id);
    const size_t shared = common_prefix(previous, text);
    close_to(shared + 1);
    for (size_t i = shared; i < text.size(); ++i) push(static_cast<uint8_t>(text[i]));
    TokenId& slot = token[static_cast<size_t>(open.back())];
    same_bytes[static_cast<size_t>(id)] = slot;
    slot = id;
    previous = text;
  }
  close_to(0);
}

int32_t TokenTrie::child(int32_t node, uint8_t value) const {
  const int32_t stop = end[static_cast<size_t>(node)];
  for (int32_t at = node + 1; at < stop; at = end[static_cast<size_t>(at)]) {
    if (byte[static_cast<size_t>(at)] == value) return at;
  }
  return -1;
}

std::string TokenTrie::path(int32_t from, int32_t node) const {
  std::string text;
  for (; node != from; node = parent[static_cast<size_t>(node)]) {
    text += static_cast<char>(byte[static_cast<size_t>(node)]);
  }
  std::reverse(text.begin(), text.end());
  return text;
}

std::vector<TokenId> TokenTrie::encode_greedily(std::string_view text) const {
  std::vector<TokenId> tokens;
  for (size_t at = 0; at < text.size();) {
    int32_t node = 0;
    TokenId best = -1;
    size_t best_end = at;
    for (size_t i = at; i < text.size(); ++i) {
      node = child(node, static_cast<uint8_t>(text[i]));
      if (node < 0) break;
      if (token[static_cast<size_t>(node)] >= 0) {
        best = token[static_cast<size_t>(node)];
        best_end = i + 1;
      }
    }
    SWARM_CHECK(best >= 0, at, text.size());
    tokens.push_back(best);
    at = best_end;
  }
  return tokens;
}

}  // namespace swarm::engine::grammar
