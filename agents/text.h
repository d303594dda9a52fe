// agents/text.h — Text inside prompt lines; private to agents/. Pure functions.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace swarm::agents {

// Line ends (CR, LF, VT, FF, NEL, LINE and PARAGRAPH SEPARATOR) become '\n' and every line after
// the first is indented by two spaces, so that a text cannot forge a line of its own.
std::string indented(std::string_view text);

// Characters (code points), not bytes.
size_t count_chars(std::string_view text);

}  // namespace swarm::agents
