// engine/base/check.h — Assertions for bugs. A failed check prints expression, values and location,
// then stops the process; it is never used for bad input or for the state of the world.
// Thread-safe. Tests may install a throwing handler with ScopedCheckHandler.
#pragma once

#include <sstream>
#include <string>

namespace swarm {

using CheckHandler = void (*)(const std::string& report);

// Replaces the handler; returns the previous one. nullptr restores "print and abort".
CheckHandler set_check_handler(CheckHandler handler);

[[noreturn]] void check_failed(const char* expression, const char* file, int line,
                               const std::string& values);

class ScopedCheckHandler {
 public:
  explicit ScopedCheckHandler(CheckHandler handler) : previous_(set_check_handler(handler)) {}
  ~ScopedCheckHandler() { set_check_handler(previous_); }
  ScopedCheckHandler(const ScopedCheckHandler&) = delete;
  ScopedCheckHandler& operator=(const ScopedCheckHandler&) = delete;

 private:
  CheckHandler previous_;
};

template <class... Values>
std::string check_values(const Values&... values) {
  std::ostringstream out;
  ((out << ' ' << values), ...);
  return out.str();
}

}  // namespace swarm

// SWARM_CHECK(index < count, index, count): the extra arguments are printed on failure.
#define SWARM_CHECK(condition, ...)                                        \
  do {                                                                     \
    if (!(condition)) [[unlikely]]                                         \
      ::swarm::check_failed(#condition, __FILE__, __LINE__,                \
                            ::swarm::check_values(__VA_ARGS__));           \
  } while (false)

#ifdef NDEBUG
#define SWARM_DCHECK(condition, ...) \
  do {                               \
  } while (false)
#else
#define SWARM_DCHECK(condition, ...) SWARM_CHECK(condition, __VA_ARGS__)
#endif
