// mcp/message/line_reader.h — Bytes of a stream in, whole lines out. A UTF-8 sequence split over
// reads stays in one piece because nothing is looked at before its line is complete. Pure; one
// owner.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace swarm::mcp {

class LineReader {
 public:
  // Lines longer than line_bytes_max are dropped as they arrive; memory stays bounded.
  explicit LineReader(size_t line_bytes_max) : line_bytes_max_(line_bytes_max) {}

  // Calls on_line for each completed line, without LF, CRLF or byte order mark.
  void feed(std::string_view bytes, const std::function<void(std::string_view)>& on_line);

  // Lines dropped so far for their length.
  size_t dropped() const { return dropped_; }

 private:
  const size_t line_bytes_max_;
  std::string pending_;
  bool dropping_ = false;
  size_t dropped_ = 0;
};

}  // namespace swarm::mcp
