// mcp/client/metrics.h — What one server did and cost during a session. A value; one strand.
#pragma once

#include <array>
#include <chrono>
#include <cstdint>
#include <exception>

#include "engine/base/json.h"
#include "mcp/transport/traffic.h"

namespace swarm::mcp {

// Durations by their upper bounds, which are the same everywhere so that histograms can be added.
class LatencyHistogram {
 public:
  static constexpr std::array<int64_t, 16> kBoundsMs{1,    2,    5,     10,    20,    50,
                                                     100,  200,  500,   1000,  2000,  5000,
                                                     10000, 30000, 60000, 300000};

  void add(std::chrono::nanoseconds duration);
  uint64_t count() const { return count_; }
  // The bound below which this share of the durations lies, at most the longest; 0 when empty.
  double quantile_ms(double share) const;
  // {"count","mean","max","p50","p95","buckets":[[bound or null, count], ..]}; empty buckets are
  // left out.
  Json to_json() const;

 private:
  std::array<uint64_t, kBoundsMs.size() + 1> counts_{};
  uint64_t count_ = 0;
  double sum_ms_ = 0, max_ms_ = 0;
};

struct Metrics {
  uint64_t starts = 0;                     // successful ones
  std::chrono::nanoseconds start_time{0};  // of the last
  uint64_t reconnects = 0;                 // restarts after a crash, renewed HTTP sessions
  LatencyHistogram calls;                  // tools/call, whatever came of it; waiting included
  uint64_t timeouts = 0, cancelled = 0;    // of these calls
  uint64_t failures = 0;                   // no result for another reason
  uint64_t tool_errors = 0;                // results with isError
  uint64_t result_bytes = 0;               // text of results, as models read it
  Traffic traffic;                         // of connections that are closed

  // What came of a call that has no result.
  void failed(std::chrono::nanoseconds duration, const std::exception_ptr& failure);
  void answered(std::chrono::nanoseconds duration, const Json& result);
};

}  // namespace swarm::mcp
