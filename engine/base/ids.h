// engine/base/ids.h — Integers that cannot be mixed up: StrongId<struct PageTag> page{3}.
#pragma once

#include <compare>
#include <cstdint>
#include <functional>
#include <ostream>

namespace swarm {

template <class Tag, class Value = uint64_t>
struct StrongId {
  Value value = 0;
  friend auto operator<=>(const StrongId&, const StrongId&) = default;
  friend std::ostream& operator<<(std::ostream& out, const StrongId& id) {
    return out << id.value;
  }
};

}  // namespace swarm

template <class Tag, class Value>
struct std::hash<swarm::StrongId<Tag, Value>> {
  size_t operator()(const swarm::StrongId<Tag, Value>& id) const noexcept {
    return std::hash<Value>{}(id.value);
  }
};
