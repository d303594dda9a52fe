// engine/base/deadline.h — A point in time by which an answer is wanted, passed down as a value.
#pragma once

#include <algorithm>
#include <chrono>

#include "engine/base/clock.h"

namespace swarm {

class Deadline {
 public:
  Deadline() = default;  // never passes
  static Deadline never() { return {}; }
  static Deadline at(TimePoint when) { return Deadline(when); }
  static Deadline after(const Clock& clock, std::chrono::nanoseconds duration) {
    return Deadline(clock.now() + duration);
  }

  bool is_never() const { return when_ == TimePoint::max(); }
  bool passed(TimePoint now) const { return now >= when_; }
  TimePoint when() const { return when_; }
  std::chrono::nanoseconds remaining(TimePoint now) const {
    if (is_never()) return std::chrono::nanoseconds::max();
    return std::max(std::chrono::nanoseconds::zero(),
                    std::chrono::nanoseconds(when_ - now));
  }
  Deadline earlier(Deadline other) const { return when_ <= other.when_ ? *this : other; }

 private:
  explicit Deadline(TimePoint when) : when_(when) {}
  TimePoint when_ = TimePoint::max();
};

}  // namespace swarm
