// mcp/server/uri_template.h — The one form of RFC 6570 that resource templates use: literal text
// and simple variables, "test://item/{id}/data". Pure.
#pragma once

#include <string_view>

namespace swarm::mcp {

// Every variable stands for one or more characters other than '/'.
bool matches_template(std::string_view uri_template, std::string_view uri);

}  // namespace swarm::mcp
