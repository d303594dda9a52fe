// engine/text/tokenizer.h — Byte-level BPE between text and token ids, read from a model file.
// Immutable after creation, shared, thread-safe; nothing blocks. Creation fails on a vocabulary
// that could not represent every byte or that this build does not know (named in the error);
// encoding and decoding never fail. Text is not normalised, so every byte string round-trips, valid
// UTF-8 or not (Hugging Face applies NFC first: normalize_nfc() before calling if ids must agree).
// Rules: reference/engine.md section 9. Special = any token that plain text cannot form.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "engine/base/error.h"
#include "engine/text/bpe.h"
#include "engine/text/marked_text.h"

namespace swarm::engine {
using TokenId = int32_t;
namespace formats {
class GgufFile;
}
}  // namespace swarm::engine

namespace swarm::engine::text {

// Numbered as in tokenizer.ggml.token_type.
enum class TokenType : uint8_t {
  normal = 1,
  unknown = 2,       // special
  control = 3,       // special, not part of the visible text
  user_defined = 4,  // special, visible (<tool_call>, <think>)
  unused = 5,        // special, has no text
};

struct VocabularyEntry {
  std::string bytes;  // what the token stands for; raw bytes, not the byte-to-unicode form
  TokenType type = TokenType::normal;
};

// Everything a tokenizer is made of. ids are indices into tokens.
struct TokenizerParts {
  std::vector<VocabularyEntry> tokens;
  std::vector<Merge> merges;  // in rank order
  std::optional<TokenId> bos;
  std::optional<TokenId> eos;
  std::optional<TokenId> padding;
  bool add_bos = false;
  std::vector<TokenId> more_stops;  // besides eos and the known end markers
};

class Tokenizer {
  struct Key {};  // only create() makes one

 public:
  explicit Tokenizer(Key) {}
  // Reads tokenizer.ggml.*: model gpt2 with pre-tokenizer qwen2; anything else is refused by name.
  static Result<std::shared_ptr<const Tokenizer>> from_gguf(const formats::GgufFile& file);
  static Result<std::shared_ptr<const Tokenizer>> create(TokenizerParts parts);

  // Never forms a special token, whatever the text says.
  std::vector<TokenId> encode(std::string_view text) const;
  // Cuts out every special token that occurs in the text, longest first.
  std::vector<TokenId> encode_with_specials(std::string_view text) const;
  // Cuts out a special token only where all its bytes are trusted; the text between two cuts is
  // pre-tokenised as one, across trust borders. Equals encode_with_specials when no untrusted byte
  // belongs to a marker.
  std::vector<TokenId> encode(const MarkedText& text) const;
  // The beginning-of-text token if the model wants one in front of every prompt (Qwen: none).
  std::optional<TokenId> leading_token() const;

  // Bytes of one token; specials as they are written, unused slots empty. id must be in range.
  const std::string& token_bytes(TokenId id) const;
  // All bytes, or without control tokens. May be invalid UTF-8 (see detokenizer.h).
  std::string decode(std::span<const TokenId> ids, bool skip_control = false) const;

  size_t size() const { return tokens_.size(); }
  bool is_valid(TokenId id) const { return id >= 0 && static_cast<size_t>(id) < tokens_.size(); }
  bool is_special(TokenId id) const;
  bool is_control(TokenId id) const;
  // The id of a control or user-defined token written exactly so ("<tool_call>").
  std::optional<TokenId> find_special(std::string_view text) const;
  std::optional<TokenId> bos() const { return bos_; }
  std::optional<TokenId> eos() const { return eos_; }
  std::optional<TokenId> padding() const { return padding_; }
  // eos, <|im_end|>, <|endoftext|> and what the file adds, those that exist; sorted, never empty.
  std::span<const TokenId> stop_ids() const { return stop_ids_; }
  bool is_stop(TokenId id) const;

  // For grammar::Vocabulary: one entry per id.
  std::vector<std::string> all_bytes() const;
  std::vector<bool> all_special() const;

 private:
  struct Marker {
    std::string text;
    TokenId id = 0;
  };
  void index_specials();
  void collect_stops(const std::vector<TokenId>& more);
  // The longest marker at position that trusted() accepts; nullptr if none.
  template <class Trusted>
  const Marker* marker_at(std::string_view text, size_t position, const Trusted& trusted) const;
  template <class Trusted>
  std::vector<TokenId> encode_cutting(std::string_view text, const Trusted& trusted) const;
  void encode_plain(std::string_view text, MergeScratch& scratch, std::vector<TokenId>& out) const;

  std::vector<VocabularyEntry> tokens_;
  std::array<TokenId, 256> byte_tokens_{};
  MergeTable merges_;
  std::array<std::vector<Marker>, 256> markers_;  // by first byte, longest first
  std::unordered_map<std::string, TokenId> special_ids_;
  std::optional<TokenId> bos_, eos_, padding_;
  bool add_bos_ = false;
  std::vector<TokenId> stop_ids_;
};

}  // namespace swarm::engine::text
