#include "engine/text/marked_text.h"

#include <algorithm>

#include "engine/base/check.h"

namespace swarm::engine::text {
namespace {

void add_range(std::vector<ByteRange>& ranges, ByteRange range) {
  if (range.begin == range.end) return;
  if (!ranges.empty() && ranges.back().end == range.begin) {
    ranges.back().end = range.end;
  } else {
    ranges.push_back(range);
  }
}

// The first range that ends after position.
auto first_ending_after(const std::vector<ByteRange>& ranges, size_t position) {
  return std::upper_bound(ranges.begin(), ranges.end(), position,
                          [](size_t at, const ByteRange& range) { return at < range.end; });
}

}  // namespace

MarkedText::MarkedText(std::string text, Trust trust) : text_(std::move(text)) {
  if (trust == Trust::trusted) add_range(trusted_, {0, text_.size()});
}

void MarkedText::append(std::string_view text, Trust trust) {
  const size_t begin = text_.size();
  text_ += text;
  if (trust == Trust::trusted) add_range(trusted_, {begin, text_.size()});
}

void MarkedText::append(const MarkedText& other) {
  SWARM_CHECK(this != &other);
  const size_t shift = text_.size();
  text_ += other.text_;
  for (const ByteRange& range : other.trusted_)
    add_range(trusted_, {range.begin + shift, range.end + shift});
}

MarkedText MarkedText::substr(size_t begin, size_t count) const {
  SWARM_CHECK(begin <= size(), begin, size());
  MarkedText out;
  out.text_ = text_.substr(begin, count);
  const size_t end = begin + out.text_.size();
  for (auto it = first_ending_after(trusted_, begin); it != trusted_.end() && it->begin < end; ++it)
    add_range(out.trusted_, {std::max(it->begin, begin) - begin, std::min(it->end, end) - begin});
  return out;
}

bool MarkedText::is_trusted(size_t begin, size_t count) const {
  SWARM_CHECK(begin <= size() && count <= size() - begin, begin, count, size());
  if (count == 0) return true;
  const auto it = first_ending_after(trusted_, begin);
  return it != trusted_.end() && it->begin <= begin && begin + count <= it->end;
}

}  // namespace swarm::engine::text
