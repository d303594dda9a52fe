#include "engine/text/tokenizer.h"

#include <algorithm>

#include "engine/base/check.h"
#include "engine/text/pretokenizer.h"

namespace swarm::engine::text {
namespace {

std::string hex_byte(unsigned byte) {
  constexpr std::string_view digits = "0123456789abcdef";
  return std::string("0x") + digits[byte >> 4] + digits[byte & 15];
}

Result<void> check_id(std::string_view what, std::optional<TokenId> id, size_t size) {
  if (!id || (*id >= 0 && static_cast<size_t>(*id) < size)) return {};
  return invalid_input("tokenizer: expected " + std::string(what) + " below " +
                       std::to_string(size) + ", found " + std::to_string(*id));
}

Result<void> check_merges(const TokenizerParts& parts) {
  const auto in_range = [&](TokenId id) {
    return id >= 0 && static_cast<size_t>(id) < parts.tokens.size();
  };
  for (size_t rank = 0; rank < parts.merges.size(); ++rank) {
    const auto [left, right, joined] = parts.merges[rank];
    if (!in_range(left) || !in_range(right) || !in_range(joined))
      return invalid_input("tokenizer: merge " + std::to_string(rank) + " names an unknown token");
    const auto& tokens = parts.tokens;
    const auto at = [&](TokenId id) -> const VocabularyEntry& {
      return tokens[static_cast<size_t>(id)];
    };
    // Decoding must give back the text, and a merge must never make a special token.
    if (at(left).bytes + at(right).bytes != at(joined).bytes ||
        at(joined).type != TokenType::normal)
      return invalid_input("tokenizer: merge " + std::to_string(rank) +
                           " does not join its two tokens to a normal token");
  }
  return {};
}

}  // namespace

Result<std::shared_ptr<const Tokenizer>> Tokenizer::create(TokenizerParts parts) {
  const size_t size = parts.tokens.size();
  if (size > size_t{1} << 30) return invalid_input("tokenizer: too many tokens");
  SWARM_TRY_VOID(check_merges(parts));
  SWARM_TRY_VOID(check_id("bos token", parts.bos, size));
  SWARM_TRY_VOID(check_id("eos token", parts.eos, size));
  SWARM_TRY_VOID(check_id("padding token", parts.padding, size));
  for (const TokenId id : parts.more_stops) SWARM_TRY_VOID(check_id("stop token", id, size));

  auto made = std::make_shared<Tokenizer>(Key{});
  made->tokens_ = std::move(parts.tokens);
  made->byte_tokens_.fill(-1);
  for (size_t id = 0; id < size; ++id) {
    const VocabularyEntry& entry = made->tokens_[id];
    if (entry.type != TokenType::normal || entry.bytes.size() != 1) continue;
    TokenId& slot = made->byte_tokens_[static_cast<uint8_t>(entry.bytes[0])];
    if (slot < 0) slot = static_cast<TokenId>(id);
  }
  for (unsigned byte = 0; byte < 256; ++byte)
    if (made->byte_tokens_[byte] < 0)
      return invalid_input("tokenizer: expected a token for every byte, found none for " +
                           hex_byte(byte));
  made->merges_ = MergeTable(parts.merges);
  made->bos_ = parts.bos;
  made->eos_ = parts.eos;
  made->padding_ = parts.padding;
  made->add_bos_ = parts.add_bos;
  made->index_specials();
  made->collect_stops(parts.more_stops);
  if (made->stop_ids_.empty())
    return invalid_input("tokenizer: expected an end token (eos, <|im_end|> or <|endoftext|>)");
  return std::shared_ptr<const Tokenizer>(std::move(made));
}

void Tokenizer::index_specials() {
  for (size_t id = 0; id < tokens_.size(); ++id) {
    const auto& [bytes, type] = tokens_[id];
    if ((type != TokenType::control && type != TokenType::user_defined) || bytes.empty()) continue;
    if (!special_ids_.emplace(bytes, static_cast<TokenId>(id)).second) continue;
    markers_[static_cast<uint8_t>(bytes[0])].push_back({bytes, static_cast<TokenId>(id)});
  }
  for (auto& bucket : markers_)
    std::stable_sort(bucket.begin(), bucket.end(), [](const Marker& a, const Marker& b) {
      return a.text.size() > b.text.size();
    });
}

void Tokenizer::collect_stops(const std::vector<TokenId>& more) {
  stop_ids_ = more;
  if (eos_) stop_ids_.push_back(*eos_);
  for (const std::string_view name : {"<|im_end|>", "<|endoftext|>"})
    if (const auto id = find_special(name)) stop_ids_.push_back(*id);
  std::sort(stop_ids_.begin(), stop_ids_.end());
  stop_ids_.erase(std::unique(stop_ids_.begin(), stop_ids_.end()), stop_ids_.end());
}

void Tokenizer::encode_plain(std::string_view text, MergeScratch& scratch,
                             std::vector<TokenId>& out) const {
  std::vector<TokenId> ids;
  while (!text.empty()) {
    const std::string_view piece = text.substr(0, first_piece_length(text));
    text.remove_prefix(piece.size());
    ids.clear();
    for (const char c : piece) ids.push_back(byte_tokens_[static_cast<uint8_t>(c)]);
    merge_piece(merges_, ids, scratch);
    out.insert(out.end(), ids.begin(), ids.end());
  }
}

template <class Trusted>
const Tokenizer::Marker* Tokenizer::marker_at(std::string_view text, size_t position,
                                              const Trusted& trusted) const {
  for (const Marker& marker : markers_[static_cast<uint8_t>(text[position])])
    if (text.substr(position, marker.text.size()) == marker.text &&
        trusted(position, marker.text.size()))
      return &marker;
  return nullptr;
}

template <class Trusted>
std::vector<TokenId> Tokenizer::encode_cutting(std::string_view text,
                                               const Trusted& trusted) const {
  std::vector<TokenId> out;
  MergeScratch scratch;
  size_t plain_begin = 0;
  for (size_t at = 0; at < text.size();) {
    const Marker* marker = marker_at(text, at, trusted);
    if (marker == nullptr) {
      ++at;
      continue;
    }
    encode_plain(text.substr(plain_begin, at - plain_begin), scratch, out);
    out.push_back(marker->id);
    at += marker->text.size();
    plain_begin = at;
  }
  encode_plain(text.substr(plain_begin), scratch, out);
  return out;
}

std::vector<TokenId> Tokenizer::encode(std::string_view text) const {
  std::vector<TokenId> out;
  MergeScratch scratch;
  encode_plain(text, scratch, out);
  return out;
}

std::vector<TokenId> Tokenizer::encode_with_specials(std::string_view text) const {
  return encode_cutting(text, [](size_t, size_t) { return true; });
}

std::vector<TokenId> Tokenizer::encode(const MarkedText& text) const {
  return encode_cutting(text.text(),
                        [&](size_t begin, size_t count) { return text.is_trusted(begin, count); });
}

std::optional<TokenId> Tokenizer::leading_token() const {
  return add_bos_ ? bos_ : std::nullopt;
}

const std::string& Tokenizer::token_bytes(TokenId id) const {
  SWARM_CHECK(is_valid(id), id, tokens_.size());
  return tokens_[static_cast<size_t>(id)].bytes;
}

std::string Tokenizer::decode(std::span<const TokenId> ids, bool skip_control) const {
  std::string out;
  for (const TokenId id : ids)
    if (!skip_control || !is_control(id)) out += token_bytes(id);
  return out;
}

bool Tokenizer::is_special(TokenId id) const {
  SWARM_CHECK(is_valid(id), id, tokens_.size());
  return tokens_[static_cast<size_t>(id)].type != TokenType::normal;
}

bool Tokenizer::is_control(TokenId id) const {
  SWARM_CHECK(is_valid(id), id, tokens_.size());
  return tokens_[static_cast<size_t>(id)].type == TokenType::control;
}

std::optional<TokenId> Tokenizer::find_special(std::string_view text) const {
  const auto it = special_ids_.find(std::string(text));
  return it == special_ids_.end() ? std::nullopt : std::optional(it->second);
}

bool Tokenizer::is_stop(TokenId id) const {
  return std::binary_search(stop_ids_.begin(), stop_ids_.end(), id);
}

std::vector<std::string> Tokenizer::all_bytes() const {
  std::vector<std::string> out;
  out.reserve(tokens_.size());
  for (const VocabularyEntry& entry : tokens_) out.push_back(entry.bytes);
  return out;
}

std::vector<bool> Tokenizer::all_special() const {
  std::vector<bool> out;
  out.reserve(tokens_.size());
  for (const VocabularyEntry& entry : tokens_) out.push_back(entry.type != TokenType::normal);
  return out;
}

}  // namespace swarm::engine::text
