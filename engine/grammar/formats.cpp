// Strict subsets of the string formats of JSON Schema as patterns.
#include <algorithm>
#include <array>

#include "engine/grammar/schema_compiler.h"

namespace swarm::engine::grammar {
namespace {

struct Format {
  std::string_view name;
  const char* pattern;
};

// 29 February is left out: whether it exists depends on the year. Years have four digits.
#define SWARM_DATE                                            \
  "[1-9][0-9]{3}-((0[13578]|1[02])-(0[1-9]|[12][0-9]|3[01])|" \
  "(0[469]|11)-(0[1-9]|[12][0-9]|30)|02-(0[1-9]|1[0-9]|2[0-8]))"
#define SWARM_TIME                                           \
  "([01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,6})?" \
  "(Z|[+-]([01][0-9]|2[0-3]):[0-5][0-9])"
#define SWARM_LABEL "[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?"
#define SWARM_HOST SWARM_LABEL "(\\." SWARM_LABEL "){0,6}"
#define SWARM_OCTET "(25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"

constexpr std::array kFormats{
    Format{"date", "^" SWARM_DATE "$"},
    Format{"time", "^" SWARM_TIME "$"},
    Format{"date-time", "^" SWARM_DATE "T" SWARM_TIME "$"},
    Format{"uuid", "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"},
    Format{"ipv4", "^" SWARM_OCTET "(\\." SWARM_OCTET "){3}$"},
    Format{"hostname", "^" SWARM_HOST "$"},
    Format{"email", "^[A-Za-z0-9_+-]+(\\.[A-Za-z0-9_+-]+){0,4}@" SWARM_HOST "$"},
    Format{"uri", "^https?://" SWARM_HOST "(:[1-9][0-9]{0,3})?"
                  "(/([A-Za-z0-9._~!$&'()*+,;=:@-]|%[0-9A-F]{2})*)*"
                  "(\\?([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-F]{2})*)?"
                  "(#([A-Za-z0-9._~!$&'()*+,;=:@/?-]|%[0-9A-F]{2})*)?$"},
};

#undef SWARM_DATE
#undef SWARM_TIME
#undef SWARM_LABEL
#undef SWARM_HOST
#undef SWARM_OCTET

}  // namespace

const char* format_pattern(std::string_view format) {
  const auto found = std::find_if(kFormats.begin(), kFormats.end(),
                                  [&](const Format& known) { return known.name == format; });
  return found == kFormats.end() ? nullptr : found->pattern;
}

}  // namespace swarm::engine::grammar
