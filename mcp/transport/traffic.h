// mcp/transport/traffic.h — Bytes of messages, without HTTP headers. A value.
#pragma once

#include <cstdint>

namespace swarm::mcp {

struct Traffic {
  uint64_t sent = 0, received = 0;

  Traffic& operator+=(const Traffic& other) {
    sent += other.sent;
    received += other.received;
    return *this;
  }
};

}  // namespace swarm::mcp
