// engine/base/caret.h — Shows a place of a text: its line and a caret under it. Pure function.
#pragma once

#include <string>
#include <string_view>

#include "engine/base/error.h"

namespace swarm {

// "\n   14 |   kv_bytes_max: 8 gigs\n      |                 ^~~~~~"; without a column only the
// line, without a line "". source: the whole text of place.file. width: bytes of what is marked,
// as columns are; drawn are the cells in which a terminal shows them, at least one.
std::string caret_lines(const SourceLocation& place, std::string_view source, int width);

}  // namespace swarm
