// engine/base/error.h — Bad input and the state of the world, as values.
// Result<T> is returned where the caller has a choice; ErrorException is thrown where only a parent
// has one (inside coroutines). Texts are lower case, without a trailing dot, expected before found.
#pragma once

#include <boost/system/result.hpp>
#include <cstdint>
#include <exception>
#include <span>
#include <string>
#include <string_view>
#include <utility>

namespace swarm {

// What kind of trouble: decides the exit code of the program.
enum class ErrorKind : uint8_t {
  invalid_input,  // the user's file, flag or argument is wrong (exit code 2)
  unsupported,    // well-formed, but not something this build can do (exit code 2)
  environment,    // model, device, server or file missing or broken (exit code 3)
  failed,         // the work itself failed (exit code 1)
  budget,         // a declared limit was reached (exit code 4)
  overloaded,     // a bounded queue is full; try later (exit code 3)
  timeout,        // a deadline passed (exit code 1; that of a whole run is a budget)
  cancelled,      // somebody asked for it to end (exit code 130)
};

std::string_view to_string(ErrorKind kind);

// A place in a text, from 1; 0 = unknown. column: bytes of UTF-8, not what a terminal shows.
struct SourceLocation {
  std::string file;
  int line = 0;
  int column = 0;
};

struct Error {
  ErrorKind kind = ErrorKind::failed;
  std::string message;
  SourceLocation location = {};

  // "file:line:col: error: message" (location parts only where known; no column without a line).
  std::string to_text() const;
};

template <class T>
using Result = boost::system::result<T, Error>;

class ErrorException : public std::exception {
 public:
  explicit ErrorException(Error error);
  const char* what() const noexcept override { return text_.c_str(); }
  const Error& error() const noexcept { return error_; }

 private:
  Error error_;
  std::string text_;
};

// Found by boost::system::result<T, Error>::value().
[[noreturn]] void throw_exception_from_error(const Error& error, const boost::source_location&);

inline Error invalid_input(std::string message) {
  return Error{ErrorKind::invalid_input, std::move(message)};
}
inline Error unsupported(std::string message) {
  return Error{ErrorKind::unsupported, std::move(message)};
}
inline Error environment_error(std::string message) {
  return Error{ErrorKind::environment, std::move(message)};
}
inline Error failed(std::string message) { return Error{ErrorKind::failed, std::move(message)}; }

// The error line; where the line is known, the source line, and with a column a caret under it:
//   a.yaml:14:17: error: expected bytes such as "8GiB", found "8 gigs"
//      14 |   kv_bytes_max: 8 gigs
//         |                 ^~~~~~
// source: the whole text of location.file; width: bytes to underline, as in engine/base/caret.h.
std::string render_with_caret(const Error& error, std::string_view source, int width = 1);

// The closest candidate (of equals the first) within 1 to 3 edits, by the length of word, else "".
std::string did_you_mean(std::string_view word, std::span<const std::string> candidates);

}  // namespace swarm

#define SWARM_CONCAT_(a, b) a##b
#define SWARM_CONCAT(a, b) SWARM_CONCAT_(a, b)

// SWARM_TRY(auto file, open(path)); returns the error, else binds the value. Several statements.
#define SWARM_TRY(declaration, expression)                                                  \
  auto SWARM_CONCAT(result_, __LINE__) = (expression);                                      \
  if (!SWARM_CONCAT(result_, __LINE__)) return std::move(SWARM_CONCAT(result_, __LINE__)).error(); \
  declaration = std::move(*SWARM_CONCAT(result_, __LINE__))

// The same for Result<void>.
#define SWARM_TRY_VOID(expression)                                                          \
  do {                                                                                      \
    auto result_ = (expression);                                                            \
    if (!result_) return std::move(result_).error();                                        \
  } while (false)
