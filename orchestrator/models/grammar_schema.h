// orchestrator/models/grammar_schema.h — Schemas as a grammar can hold them. A tool's schema may
// say more than a grammar can (not, if, dependentRequired, an exotic pattern). The grammar then
// gets a wider one: whatever the original allows, it allows, too, and the original still judges the
// arguments before the call. Pure.
#pragma once

#include <array>
#include <cstdint>

#include "engine/base/json.h"

namespace swarm::models {

// From the original to any object; every step allows at least what the step before allows.
enum class Width : uint8_t { verbatim, known, plain, any };
inline constexpr std::array kWidths{Width::verbatim, Width::known, Width::plain, Width::any};

Json widened(const Json& schema, Width width);

}  // namespace swarm::models
