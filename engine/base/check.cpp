#include "engine/base/check.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace swarm {
namespace {
std::atomic<CheckHandler> g_handler{nullptr};  // Process-wide by nature: a failed check ends it.
}

CheckHandler set_check_handler(CheckHandler handler) { return g_handler.exchange(handler); }

void check_failed(const char* expression, const char* file, int line, const std::string& values) {
  const std::string report = std::string(file) + ":" + std::to_string(line) +
                             ": check failed: " + expression + (values.empty() ? "" : ":") + values;
  if (CheckHandler handler = g_handler.load()) handler(report);  // A test's handler throws.
  std::fputs((report + "\n").c_str(), stderr);
  std::abort();
}

}  // namespace swarm
