#include "engine/base/units.h"

#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>

namespace swarm {
namespace {

struct Split {
  double number = 0;
  std::string unit;
};

// "1.5 GB" -> {1.5, "GB"}.
std::optional<Split> split_number(std::string_view text) {
  Split out;
  const auto [end, code] = std::from_chars(text.data(), text.data() + text.size(), out.number);
  if (code != std::errc{} || out.number < 0 || !std::isfinite(out.number)) return std::nullopt;
  text.remove_prefix(static_cast<size_t>(end - text.data()));
  while (!text.empty() && text.front() == ' ') text.remove_prefix(1);
  out.unit = std::string(text);
  return out;
}

std::string with_unit(double value, const char* unit) {
  std::array<char, 48> buffer{};
  std::snprintf(buffer.data(), buffer.size(), "%.2f %s", value, unit);
  return buffer.data();
}

}  // namespace

Result<uint64_t> parse_bytes(std::string_view text) {
  const auto refuse = [&] {
    return invalid_input("expected bytes such as \"8GiB\", found \"" + std::string(text) + "\"");
  };
  const auto split = split_number(text);
  if (!split) return refuse();
  double scale = 0;
  const std::string& unit = split->unit;
  if (unit.empty() || unit == "B") scale = 1;
  else if (unit == "KiB") scale = 1024.0;
  else if (unit == "MiB") scale = 1024.0 * 1024;
  else if (unit == "GiB") scale = 1024.0 * 1024 * 1024;
  else if (unit == "TiB") scale = 1024.0 * 1024 * 1024 * 1024;
  else if (unit == "kB" || unit == "KB") scale = 1e3;
  else if (unit == "MB") scale = 1e6;
  else if (unit == "GB") scale = 1e9;
  else if (unit == "TB") scale = 1e12;
  else return refuse();
  const double bytes = split->number * scale;
  if (bytes > 9e18) return refuse();
  return static_cast<uint64_t>(std::llround(bytes));
}

std::string format_bytes(uint64_t bytes) {
  const double value = static_cast<double>(bytes);
  if (bytes >= 1_GiB) return with_unit(value / static_cast<double>(1_GiB), "GiB");
  if (bytes >= 1_MiB) return with_unit(value / static_cast<double>(1_MiB), "MiB");
  if (bytes >= 1_KiB) return with_unit(value / static_cast<double>(1_KiB), "KiB");
  return std::to_string(bytes) + " B";
}

Result<std::chrono::milliseconds> parse_duration(std::string_view text) {
  const auto refuse = [&] {
    return invalid_input("expected a duration such as \"30s\" or \"250ms\", found \"" +
                         std::string(text) + "\"");
  };
  const auto split = split_number(text);
  if (!split) return refuse();
  double scale_ms = 0;
  if (split->unit == "ms") scale_ms = 1;
  else if (split->unit == "s") scale_ms = 1e3;
  else if (split->unit == "m" || split->unit == "min") scale_ms = 60e3;
  else if (split->unit == "h") scale_ms = 3600e3;
  else return refuse();
  const double ms = split->number * scale_ms;
  if (ms > 1e15) return refuse();
  return std::chrono::milliseconds(std::llround(ms));
}

std::string format_duration(std::chrono::nanoseconds duration) {
  const double ns = static_cast<double>(duration.count());
  if (ns >= 60e9) return with_unit(ns / 60e9, "min");
  if (ns >= 1e9) return with_unit(ns / 1e9, "s");
  if (ns >= 1e6) return with_unit(ns / 1e6, "ms");
  return with_unit(ns / 1e3, "us");
}

}  // namespace swarm
