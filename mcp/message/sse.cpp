#include "mcp/message/sse.h"

#include <algorithm>
#include <charconv>

namespace swarm::mcp {
namespace {

constexpr int64_t kRetryMaxMs = 3600 * 1000;  // an hour; more is taken for nonsense

}  // namespace

void SseParser::reconnected() {
  line_.clear();
  data_.clear();
  type_.clear();
  has_data_ = has_id_ = after_cr_ = overflow_ = false;
  first_line_ = true;
}

void SseParser::feed(std::string_view bytes,
                     const std::function<void(const SseEvent&)>& on_event) {
  while (!bytes.empty()) {
    if (after_cr_) {  // CRLF is one line end, also when split between two reads
      after_cr_ = false;
      if (bytes[0] == '\n') {
        bytes.remove_prefix(1);
        continue;
      }
    }
    const size_t end = std::min(bytes.find_first_of("\r\n"), bytes.size());
    if (line_.size() + data_.size() + end > event_bytes_max_) overflow_ = true;
    if (overflow_) {
      line_ = line_.empty() && end == 0 ? "" : ":";  // still not an empty line
    } else {
      line_.append(bytes.substr(0, end));
    }
    if (end == bytes.size()) return;
    after_cr_ = bytes[end] == '\r';
    bytes.remove_prefix(end + 1);
    line(on_event);
  }
}

void SseParser::line(const std::function<void(const SseEvent&)>& on_event) {
  std::string text;
  text.swap(line_);
  constexpr std::string_view kMark = "\xEF\xBB\xBF";
  if (first_line_ && text.compare(0, kMark.size(), kMark) == 0) text.erase(0, kMark.size());
  first_line_ = false;
  if (!text.empty()) {
    if (overflow_ || text[0] == ':') return;
    const size_t colon = text.find(':');
    std::string_view value;
    if (colon != std::string::npos) value = std::string_view(text).substr(colon + 1);
    if (!value.empty() && value[0] == ' ') value.remove_prefix(1);
    return field(std::string_view(text).substr(0, colon), value);
  }
  SseEvent event;
  if (!type_.empty()) event.type = std::move(type_);
  event.data = std::move(data_);
  const bool complete = has_data_ || has_id_;
  if (overflow_) ++dropped_;
  const bool dropped = overflow_;
  data_.clear();
  type_.clear();
  has_data_ = has_id_ = overflow_ = false;
  if (complete && !dropped) on_event(event);
}

void SseParser::field(std::string_view name, std::string_view value) {
  if (name == "data") {
    if (has_data_) data_ += '\n';
    data_ += value;
    has_data_ = true;
  } else if (name == "event") {
    type_ = value;
  } else if (name == "id") {
    if (value.find('\0') != std::string_view::npos) return;
    last_id_ = std::string(value);
    has_id_ = true;
  } else if (name == "retry") {
    int64_t ms = 0;
    const auto [end, code] = std::from_chars(value.data(), value.data() + value.size(), ms);
    if (code == std::errc() && end == value.data() + value.size() && ms >= 0 &&
        ms <= kRetryMaxMs)
      retry_ = std::chrono::milliseconds(ms);
  }
}

}  // namespace swarm::mcp
