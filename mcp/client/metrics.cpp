#include "mcp/client/metrics.h"

#include <algorithm>

#include "engine/base/async/nursery.h"
#include "engine/base/error.h"

namespace swarm::mcp {
namespace {

double in_ms(std::chrono::nanoseconds duration) {
  return std::chrono::duration<double, std::milli>(duration).count();
}

}  // namespace

void LatencyHistogram::add(std::chrono::nanoseconds duration) {
  const double ms = in_ms(duration);
  const auto bucket = std::find_if(kBoundsMs.begin(), kBoundsMs.end(), [&](int64_t bound) {
    return ms <= static_cast<double>(bound);
  });
  ++counts_[static_cast<size_t>(bucket - kBoundsMs.begin())];
  ++count_;
  sum_ms_ += ms;
  max_ms_ = std::max(max_ms_, ms);
}

double LatencyHistogram::quantile_ms(double share) const {
  uint64_t below = 0;
  for (size_t i = 0; i < kBoundsMs.size(); ++i) {
    below += counts_[i];
    if (count_ > 0 && static_cast<double>(below) >= share * static_cast<double>(count_))
      return std::min(static_cast<double>(kBoundsMs[i]), max_ms_);
  }
  return max_ms_;
}

Json LatencyHistogram::to_json() const {
  Json out = Json::object();
  out["count"] = count_;
  if (count_ == 0) return out;
  out["mean"] = sum_ms_ / static_cast<double>(count_);
  out["max"] = max_ms_;
  out["p50"] = quantile_ms(0.5);
  out["p95"] = quantile_ms(0.95);
  out["buckets"] = Json::array();
  for (size_t i = 0; i < counts_.size(); ++i) {
    if (counts_[i] == 0) continue;
    const Json bound = i < kBoundsMs.size() ? Json(kBoundsMs[i]) : Json();
    out["buckets"].push_back(Json::array({bound, counts_[i]}));
  }
  return out;
}

void Metrics::failed(std::chrono::nanoseconds duration, const std::exception_ptr& failure) {
  calls.add(duration);
  if (is_cancellation(failure)) {
    ++cancelled;
    return;
  }
  try {
    std::rethrow_exception(failure);
  } catch (const ErrorException& e) {
    ++(e.error().kind == ErrorKind::timeout ? timeouts : failures);
  } catch (...) {
    ++failures;
  }
}

void Metrics::answered(std::chrono::nanoseconds duration, const Json& result) {
  calls.add(duration);
  const auto error = result.find("isError");
  if (error != result.end() && *error == true) ++tool_errors;
}

}  // namespace swarm::mcp
