#include "mcp/message/line_reader.h"

#include <algorithm>

namespace swarm::mcp {
namespace {

std::string_view without_marks(std::string_view line) {
  if (!line.empty() && line.back() == '\r') line.remove_suffix(1);
  constexpr std::string_view kMark = "\xEF\xBB\xBF";
  if (line.substr(0, kMark.size()) == kMark) line.remove_prefix(kMark.size());
  return line;
}

}  // namespace

void LineReader::feed(std::string_view bytes,
                      const std::function<void(std::string_view)>& on_line) {
  while (!bytes.empty()) {
    const size_t end = std::min(bytes.find('\n'), bytes.size());
    const bool complete = end < bytes.size();
    if (!dropping_ && pending_.size() + end > line_bytes_max_) {
      dropping_ = true;
      ++dropped_;
      pending_ = {};
    }
    if (!dropping_) pending_.append(bytes.substr(0, end));
    bytes.remove_prefix(complete ? end + 1 : end);
    if (!complete) return;
    if (!dropping_) on_line(without_marks(pending_));
    pending_.clear();
    dropping_ = false;
  }
}

}  // namespace swarm::mcp
