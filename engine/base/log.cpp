#include "engine/base/log.h"

#include "engine/base/json.h"

namespace swarm {
namespace {

std::string_view level_name(LogLevel level) {
  switch (level) {
    case LogLevel::debug: return "debug";
    case LogLevel::info: return "info";
    case LogLevel::warn: return "warn";
    case LogLevel::error: return "error";
    case LogLevel::off: return "off";
  }
  return "unknown";
}

Json to_json(const LogField::Value& value) {
  return std::visit([](const auto& v) { return Json(v); }, value);
}

}  // namespace

void Log::event(LogLevel level, std::string_view event, std::initializer_list<LogField> fields) {
  if (level < level_ || level == LogLevel::off) return;
  std::string line;
  if (format_ == Format::json) {
    Json object = {{"level", level_name(level)}, {"event", event}};
    for (const LogField& field : fields) object[std::string(field.key)] = to_json(field.value);
    line = dump_json(object);
  } else {
    line = std::string(level_name(level)) + " " + std::string(event);
    for (const LogField& field : fields)
      line += " " + std::string(field.key) + "=" + dump_json(to_json(field.value));
  }
  const std::lock_guard lock(mutex_);
  out_ << line << '\n' << std::flush;
}

}  // namespace swarm
