// mcp/message/sse.h — Bytes of a text/event-stream in, events out. CR, LF and CRLF, a leading byte
// order mark, comments, multi-line data and any chunking. Pure; one owner. WHATWG HTML 9.2.6.
#pragma once

#include <chrono>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace swarm::mcp {

struct SseEvent {
  std::string type = "message";
  std::string data;
};

class SseParser {
 public:
  // Events whose data or lines grow beyond event_bytes_max are dropped; memory stays bounded.
  explicit SseParser(size_t event_bytes_max) : event_bytes_max_(event_bytes_max) {}

  // Calls on_event for each event. An event without data is reported only if it carries an id (the
  // priming event of resumable streams), with empty data.
  void feed(std::string_view bytes, const std::function<void(const SseEvent&)>& on_event);

  // A new connection for the same stream: buffers are cleared, the last id stays.
  void reconnected();

  const std::optional<std::string>& last_id() const { return last_id_; }
  std::optional<std::chrono::milliseconds> retry() const { return retry_; }
  size_t dropped() const { return dropped_; }

 private:
  void line(const std::function<void(const SseEvent&)>& on_event);
  void field(std::string_view name, std::string_view value);

  const size_t event_bytes_max_;
  std::string line_;
  std::string data_;
  std::string type_;
  bool has_data_ = false, has_id_ = false;
  bool first_line_ = true;
  bool after_cr_ = false;
  bool overflow_ = false;        // the current line or event is too large
  std::optional<std::string> last_id_;
  std::optional<std::chrono::milliseconds> retry_;
  size_t dropped_ = 0;
};

}  // namespace swarm::mcp
