// mcp/message/visible_text.h — What a person would not see in a stranger's text. Pure.
#pragma once

#include <string>
#include <string_view>

namespace swarm::mcp {

// Without what is invisible or changes the direction of writing (Unicode general categories Cf and
// Cc but for line ends and tabs, tag characters): models read it, people do not. Invalid UTF-8
// becomes U+FFFD.
std::string visible_text(std::string_view text);

}  // namespace swarm::mcp
