#include "engine/base/error.h"

#include <algorithm>
#include <vector>

#include "engine/base/caret.h"

namespace swarm {
namespace {

// Levenshtein distance with adjacent transpositions counted once.
size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) last[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t cost = a[i - 1] == b[j - 1] ? 0 : 1;
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + cost});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before = last;
    last = row;
  }
  return last[b.size()];
}

}  // namespace

std::string_view to_string(ErrorKind kind) {
  switch (kind) {
    case ErrorKind::invalid_input: return "invalid_input";
    case ErrorKind::unsupported: return "unsupported";
    case ErrorKind::environment: return "environment";
    case ErrorKind::failed: return "failed";
    case ErrorKind::budget: return "budget";
    case ErrorKind::overloaded: return "overloaded";
    case ErrorKind::timeout: return "timeout";
    case ErrorKind::cancelled: return "cancelled";
  }
  return "unknown";
}

std::string Error::to_text() const {
  std::string text;
  if (!location.file.empty()) text += location.file + ":";
  if (location.line > 0) text += std::to_string(location.line) + ":";
  if (location.line > 0 && location.column > 0) text += std::to_string(location.column) + ":";
  if (!text.empty()) text += ' ';
  return text + "error: " + message;
}

ErrorException::ErrorException(Error error) : error_(std::move(error)), text_(error_.to_text()) {}

void throw_exception_from_error(const Error& error, const boost::source_location&) {
  throw ErrorException(error);
}

std::string render_with_caret(const Error& error, std::string_view source, int width) {
  return error.to_text() + caret_lines(error.location, source, width);
}

std::string did_you_mean(std::string_view word, std::span<const std::string> candidates) {
  std::string best;
  size_t best_distance = word.size() < 4 ? 1 : word.size() < 8 ? 2 : 3;
  for (const std::string& candidate : candidates) {
    const size_t distance = edit_distance(word, candidate);
    if (distance < best_distance || (distance == best_distance && best.empty())) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace swarm
