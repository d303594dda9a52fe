// engine/text/marked_text.h — Text that knows which of its bytes may form control tokens.
// A chat template's own literals are trusted; whatever a user, a tool or a model wrote is not. The
// marks survive concatenation and slicing, so that the tokenizer can recognise <|im_end|> where the
// template wrote it and nowhere else. A plain value; concurrent reads are safe.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace swarm::engine::text {

enum class Trust : bool { untrusted, trusted };

// Half-open range of byte offsets.
struct ByteRange {
  size_t begin = 0;
  size_t end = 0;
  bool operator==(const ByteRange&) const = default;
};

class MarkedText {
 public:
  MarkedText() = default;
  explicit MarkedText(std::string text, Trust trust = Trust::untrusted);

  void append(std::string_view text, Trust trust);
  void append(const MarkedText& other);
  MarkedText substr(size_t begin, size_t count = std::string::npos) const;

  const std::string& text() const { return text_; }
  size_t size() const { return text_.size(); }
  bool empty() const { return text_.empty(); }
  // Sorted, disjoint, not empty, not touching each other.
  const std::vector<ByteRange>& trusted() const { return trusted_; }
  // True if every byte of [begin, begin + count) is trusted. O(log ranges).
  bool is_trusted(size_t begin, size_t count) const;
  bool is_wholly_trusted() const { return is_trusted(0, size()); }

  bool operator==(const MarkedText&) const = default;

 private:
  std::string text_;
  std::vector<ByteRange> trusted_;
};

}  // namespace swarm::engine::text
