// engine/base/log.h — Structured events. One Log is built in main() and passed down; it renders
// to text or JSON lines (stderr in production). Prompts, tool arguments and credentials are never
// logged at info or above. Thread-safe: one line per event, never torn.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <mutex>
#include <ostream>
#include <string>
#include <string_view>
#include <variant>

namespace swarm {

enum class LogLevel : uint8_t { debug, info, warn, error, off };

struct LogField {
  using Value = std::variant<int64_t, double, bool, std::string>;
  std::string_view key;
  Value value;

  LogField(std::string_view k, int v) : key(k), value(int64_t{v}) {}
  LogField(std::string_view k, int64_t v) : key(k), value(v) {}
  LogField(std::string_view k, uint64_t v) : key(k), value(static_cast<int64_t>(v)) {}
  LogField(std::string_view k, double v) : key(k), value(v) {}
  LogField(std::string_view k, bool v) : key(k), value(v) {}
  LogField(std::string_view k, std::string v) : key(k), value(std::move(v)) {}
  LogField(std::string_view k, std::string_view v) : key(k), value(std::string(v)) {}
  LogField(std::string_view k, const char* v) : key(k), value(std::string(v)) {}
};

class Log {
 public:
  enum class Format : uint8_t { text, json };

  // out outlives the Log.
  Log(std::ostream& out, LogLevel level, Format format = Format::text)
      : out_(out), level_(level), format_(format) {}

  // event: stable dotted name, e.g. "mcp.server.exit". Units belong in the field keys.
  void event(LogLevel level, std::string_view event, std::initializer_list<LogField> fields = {});
  void debug(std::string_view name, std::initializer_list<LogField> f = {}) {
    event(LogLevel::debug, name, f);
  }
  void info(std::string_view name, std::initializer_list<LogField> f = {}) {
    event(LogLevel::info, name, f);
  }
  void warn(std::string_view name, std::initializer_list<LogField> f = {}) {
    event(LogLevel::warn, name, f);
  }
  void error(std::string_view name, std::initializer_list<LogField> f = {}) {
    event(LogLevel::error, name, f);
  }
  bool enabled(LogLevel level) const { return level >= level_; }

 private:
  std::mutex mutex_;
  std::ostream& out_;
  LogLevel level_;
  Format format_;
};

}  // namespace swarm
