// mcp/client/in_use.h — Marks a server as used while it lives. Private to the core's files.
#pragma once

#include "engine/base/async/deadline.h"
#include "mcp/client/core.h"

namespace swarm::mcp {

struct Core::InUse {
  explicit InUse(Core& core) : core_(core) { ++core_.in_use_; }
  ~InUse() {
    --core_.in_use_;
    core_.used_ = steady_clock().now();
  }
  InUse(const InUse&) = delete;
  InUse& operator=(const InUse&) = delete;

 private:
  Core& core_;
};

}  // namespace swarm::mcp
