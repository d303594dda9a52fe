// tools/glob.h — Patterns of '*' (any run, also empty) and '?' (one byte). Pure. Time is bounded by
// the product of both lengths: only the last '*' is retried.
#pragma once

#include <string>
#include <string_view>

namespace swarm::tools {

bool glob_matches(std::string_view pattern, std::string_view text);

// "shop/price" is how people write the public name "shop__price".
std::string public_form(std::string_view pattern);

}  // namespace swarm::tools
